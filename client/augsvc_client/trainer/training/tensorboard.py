"""TensorBoard logs of a run, written from its events.

events → log_to_tensorboard → the same events, and event files in a folder
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import time

from augsvc_client.errors import NotInstalled
from augsvc_client.text import printable
from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.files import describe_write_error
from augsvc_client.trainer.training.loop import Epoch, Step
from augsvc_client.trainer.training.problem import Notify


def log_to_tensorboard(events: Iterable[Step | Epoch], folder: Path, warn: Notify) -> Iterator[Step | Epoch]:
    """The events, unchanged; rank 0 writes loss, accuracies, images per second and the waiting fraction of each epoch.

    At the first write that fails, e.g. on a full disk, `warn` gets a line, and the run goes on without logs. Raises
    NotInstalled without tensorboardX, whose SummaryWriter is not used: its thread fails at the end of the process.
    """
    try:
        from tensorboardX.event_file_writer import (
            EventsWriter,
        )  # SummaryWriter's thread would fail at the process's end
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar
    except ModuleNotFoundError as err:
        raise NotInstalled("training.tensorboard needs tensorboardX: install augsvc-client[tensorboard]") from err
    if not is_main_process():
        yield from events
        return
    writer: EventsWriter | None = None
    failed = False
    for event in events:
        if isinstance(event, Epoch) and not failed:
            try:
                if writer is None:
                    folder.mkdir(parents=True, exist_ok=True)
                    writer = EventsWriter(str(folder / "events"))
                for tag, value in _values(event).items():
                    writer.write_event(Event(wall_time=time(), step=event.number, summary=scalar(tag, value)))
                writer.flush()
            except OSError as err:
                failed = True
                warn(f"{describe_write_error(err, folder)}; the run goes on without these logs")
        yield event
    if writer is not None and not failed:
        writer.close()


def _values(epoch: Epoch) -> Mapping[str, float]:
    return {
        "loss/train": epoch.loss,
        **{f"accuracy/{printable(test)}": score.accuracy for test, score in epoch.scores.items()},
        "pace/images_per_s": epoch.pace.images_per_s,
        "pace/wait_share": epoch.pace.wait_share,
    }
