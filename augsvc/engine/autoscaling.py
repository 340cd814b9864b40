"""Ray's autoscaling policy for `augsvc.ray`: replicas follow the trainers' wait time, not the length of a queue.

Separate from it, because Ray's controller imports the policy, and needs neither torch nor the application.
"""

from collections.abc import Mapping
from typing import Protocol

WAIT = "wait"  # the metric that a replica reports: seconds per second that jobs waited for batches
SCALE_UP_ABOVE = 0.1  # of all jobs and replicas together
SCALE_DOWN_BELOW = 0.01


class Context(Protocol):
    """What the policy reads of ray.serve.config.AutoscalingContext."""

    @property
    def aggregated_metrics(self) -> Mapping[str, Mapping[object, float]] | None:
        """Metric → replica → mean over the look-back period."""

    @property
    def target_num_replicas(self) -> int:
        """The present target."""


def scale_on_wait(context: Context) -> tuple[int, dict[str, object]]:
    """The wanted number of replicas: one more while jobs wait for batches, one fewer while they do not.

    Ray applies the bounds and delays of `autoscaling_config`. The dictionary is the policy's state, which is empty.
    """
    wait = sum((context.aggregated_metrics or {}).get(WAIT, {}).values())
    if wait > SCALE_UP_ABOVE:
        return context.target_num_replicas + 1, {}
    return context.target_num_replicas - (wait < SCALE_DOWN_BELOW), {}
