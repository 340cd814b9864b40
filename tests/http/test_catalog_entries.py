"""The catalog's JSON is encoded once: the event loop would encode it for each request, while all jobs wait."""

import gc
import json
import weakref

import numpy as np

from augsvc.arrays import Sample
from augsvc.http.routes.catalog import DatasetEntries, dataset_entry
from tests.harness import ListSource


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
