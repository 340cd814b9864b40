"""The autoscaling policy for Ray."""

from types import SimpleNamespace

import pytest

from augsvc.engine.autoscaling import WAIT, scale_on_wait


@pytest.mark.parametrize(
    ("waits", "wanted"), [({"a": 0.09, "b": 0.02}, 4), ({"a": 0.05, "b": 0.0}, 3), ({"a": 0.0}, 2), ({}, 2), (None, 2)]
)
def test_replicas_follow_the_wait_of_all_jobs_together(waits, wanted):
    metrics = None if waits is None else {WAIT: waits}
    assert scale_on_wait(SimpleNamespace(aggregated_metrics=metrics, target_num_replicas=3)) == (wanted, {})
