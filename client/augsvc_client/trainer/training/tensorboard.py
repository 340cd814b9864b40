"""A run's numbers for TensorBoard, from the events that everybody sees.

events → logged → the same events, and event files below a folder
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from augsvc_client.errors import NotInstalled
from augsvc_client.trainer.distributed import is_first
from augsvc_client.trainer.training.loop import Epoch, Step


def logged(events: Iterable[Step | Epoch], folder: Path) -> Iterator[Step | Epoch]:
    """The events, unchanged; the first rank writes loss, accuracies, images a second and the share of waiting by epoch.

    Raises NotInstalled without tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError as err:
        raise NotInstalled("training.tensorboard needs tensorboardX: install augsvc-client[tensorboard]") from err
    if not is_first():
        yield from events
        return
    with SummaryWriter(str(folder)) as writer:
        for event in events:
            if isinstance(event, Epoch):
                writer.add_scalar("loss/train", event.loss, event.number)
                for test, score in event.scores.items():
                    writer.add_scalar(f"accuracy/{test}", score.accuracy, event.number)
                writer.add_scalar("pace/images_per_s", event.pace.images_per_s, event.number)
                writer.add_scalar("pace/wait_share", event.pace.wait_share, event.number)
                writer.flush()
            yield event
