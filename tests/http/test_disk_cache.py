"""A server with decoded files on disk: the same bytes, and nothing decoded after a restart."""

import pytest

from tests.http.serving import write_image_folder

SPEC = {"dataset": "photos2", "size": [16, 16], "shuffle": False, "pipeline": "standard"}


@pytest.fixture
def disk_settings(tmp_path):
    write_image_folder(tmp_path / "images", {"a": 3, "b": 5})
    datasets = {"photos2": {"format": "image_folder", "path": str(tmp_path / "images")}}
    return {"datasets": datasets, "disk_cache": str(tmp_path / "decoded"), "disk_cache_bytes": "8 MiB"}


def test_a_restarted_server_finds_what_it_decoded(serve, disk_settings):
    replies, counts = [], []
    for _ in range(2):
        server = serve(**disk_settings).ready()
        replies.append(server.batch(server.open(SPEC), 0, 0, 8).sha)
        counts.append([int(server.metric(f"augsvc_disk_cache_{name}_total")) for name in ("hits", "misses")])
        n_bytes = server.metric("augsvc_disk_cache_bytes")
        server.stop()
    assert replies[0] == replies[1]
    assert counts == [[0, 8], [8, 0]]
    assert n_bytes > 0
