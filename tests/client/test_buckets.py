"""A loader whose batches are larger than the buckets of its stream."""

import warnings

import pytest

from augsvc_client import RemoteDataLoader


@pytest.mark.parametrize(("bucket", "size"), [(8, 16), (1, 2)])
def test_batches_larger_than_a_bucket_are_warned_of(bucket, size):
    arguments = {"dataset": "speech", "seconds": 1.0, "sample_rate": 16000, "batch_size": size}
    with pytest.warns(UserWarning, match=f"a batch of {size} clips spans buckets of {bucket}") as noted:
        RemoteDataLoader("http://127.0.0.1:1", bucket=bucket, **arguments).close()
    assert noted[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for enough in (size, 2 * size, None):
            RemoteDataLoader("http://127.0.0.1:1", bucket=enough, **arguments).close()
