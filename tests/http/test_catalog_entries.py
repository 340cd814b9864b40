"""The catalog's JSON is encoded once: the event loop would encode it for each request, while all jobs wait."""

import gc
import json
import weakref

import numpy as np

from augsvc.arrays import Sample
from augsvc.http.routes.catalog import DatasetEntries, dataset_entry
from augsvc.http.routes.streams import encode_stream
from augsvc_client.wire import digest
from tests.harness import ListSource, over


def source():
    return ListSource([Sample(np.zeros((2, 2, 3), np.uint8), 0)])


def test_a_dataset_is_encoded_once_and_forgotten_with_its_source():
    entries, dataset = DatasetEntries(), source()
    encoded = entries.encode(dataset)
    assert json.loads(encoded) == dataset_entry(dataset)
    assert entries.encode(dataset) is encoded
    assert entries.encode(source()) is not encoded
    gone = weakref.ref(dataset)
    del dataset
    gc.collect()
    assert gone() is None


def test_all_responses_share_the_entries():
    """Those of 20 clients that read nothing took 320 MB, of a dataset of 100,000 classes."""
    entries, first, second = DatasetEntries(), source(), source()
    listed = entries.list_all([first, second])
    assert json.loads(b"".join(listed.parts)) == {"datasets": [dataset_entry(first), dataset_entry(second)]}
    assert listed.digest == digest(b"".join(listed.parts))
    assert any(part is entries.encode(first) for part in listed.parts)
    assert entries.list_all([first, second]) is listed
    assert json.loads(b"".join(entries.list_all([second]).parts)) == {"datasets": [dataset_entry(second)]}
    assert json.loads(b"".join(entries.list_all([]).parts)) == {"datasets": []}
    opened = over(first, [], size=[2, 2]).stream
    described = encode_stream(opened, entries)
    assert any(part is entries.encode(first) for part in described.parts)
    assert json.loads(b"".join(described.parts))["dataset"] == dataset_entry(first)


def test_a_stream_describes_its_dataset_as_the_catalog_does(server):
    [listed] = [entry for entry in server.get("/v1/datasets").json["datasets"] if entry["name"] == "pets"]
    opened = server.open({"dataset": "pets", "size": [8, 8]})
    assert opened["dataset"] == listed
    assert server.get(f"/v1/streams/{opened['id']}").json == opened


def test_names_that_are_no_ascii_arrive_as_they_are(serve, tmp_path):
    from tests.http.serving import write_image_folder

    write_image_folder(tmp_path / "data", {'k"ä\\tze': 2, "犬": 2})
    other = serve(datasets={"odd": {"format": "image_folder", "path": str(tmp_path / "data")}}).ready(False)
    assert other.open({"dataset": "odd", "size": [8, 8]})["dataset"]["classes"] == ['k"ä\\tze', "犬"]
