"""TensorBoard logs of a run, written from its events.

events → log_to_tensorboard → the same events, and event files in a folder
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from augsvc_client.errors import NotInstalled
from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.training.loop import Epoch, Step


def log_to_tensorboard(events: Iterable[Step | Epoch], folder: Path) -> Iterator[Step | Epoch]:
    """The events, unchanged; rank 0 writes loss, accuracies, images per second and the waiting fraction of each epoch.

    Raises NotInstalled without tensorboardX.
    """
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError as err:
        raise NotInstalled("training.tensorboard needs tensorboardX: install augsvc-client[tensorboard]") from err
    if not is_main_process():
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
