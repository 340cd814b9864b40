"""Peers on a GPU: batches that are resident there, or come from pinned host memory and return to it.

`gpu_memory` moves bytes and nothing else: its pipeline is one step, `copy` (on the device), `upload` or `download` (pinned
host memory). Its buffers exceed any cache, and the bytes are random, because zeros may transfer faster.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from benchmarks.peers import Peer, Run, fastest

DEVICE = "cuda"
GROUP = 8  # batches of a run: queued back to back, then synchronised once
COPY_BYTES = 1 << 30  # in each of the GROUP copies of a run
Change = Callable[[torch.Tensor], torch.Tensor]  # uint8 (N, C, H, W) → the augmented batch, floats in [0, 1] or uint8
Changes = Callable[[list[dict[str, Any]]], dict[str, Change]]  # the variants of a pipeline; the fastest counts


def gpu_peers(name: str, title: str, version: Callable[[], str], changes: Changes) -> dict[str, Peer]:
    """A library on the GPU: `gpu_NAME` leaves its batches there, `host_NAME` moves them from the host and back."""

    def make(run_of: Callable[[Change, np.ndarray], Run], pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
        return fastest({variant: run_of(change, images) for variant, change in changes(pipeline).items()})

    return {
        f"gpu_{name}": Peer(title, version, partial(make, resident)),
        f"host_{name}": Peer(f"{title}, from the host and back", version, partial(make, transferred)),
    }


def resident(change: Change, images: np.ndarray) -> Run:
    """The images are on the device as bytes, and the result stays there in the library's own form.

    In the order of an image file (channels innermost, torch's channels_last) or in planes, whichever is faster.
    """
    inner = torch.from_numpy(images).to(DEVICE).permute(0, 3, 1, 2)

    def over(batch: torch.Tensor) -> Run:
        @torch.inference_mode()
        def run() -> Callable[[], np.ndarray]:
            for _ in range(GROUP):
                result = change(batch)
            synchronize()
            return lambda: to_bytes(result).cpu().numpy()

        return run

    return fastest({"channels_last": over(inner), "contiguous": over(inner.contiguous())})


def transferred(change: Change, images: np.ndarray) -> Run:
    """Bytes from pinned memory to the device, and bytes back into pinned memory."""
    pinned = DEVICE != "cpu"
    source = torch.from_numpy(images)
    source = source.pin_memory() if pinned else source

    @torch.inference_mode()
    def once() -> torch.Tensor:
        return to_bytes(change(source.to(DEVICE, non_blocking=True).permute(0, 3, 1, 2)))

    target = torch.empty_like(once(), device="cpu", pin_memory=pinned)

    def run() -> np.ndarray:
        for _ in range(GROUP):
            target.copy_(once(), non_blocking=True)
        synchronize()
        return target.numpy()

    return run


def to_floats(batch: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1], in the memory order of the bytes."""
    return batch.float().div_(255.0)


@torch.inference_mode()
def to_bytes(batch: torch.Tensor) -> torch.Tensor:
    """Floats rounded to levels; bytes stay as they are."""
    return batch if batch.dtype == torch.uint8 else batch.mul(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)


def synchronize() -> None:
    """Waits until the device has finished all queued work."""
    if DEVICE != "cpu":
        torch.cuda.synchronize(DEVICE)


def events() -> tuple[Any, Any]:
    """Two timing events of a stream."""
    with torch.cuda.device(DEVICE):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        return first, last


def _pinned() -> torch.Tensor:
    return torch.randint(0, 256, (COPY_BYTES,), dtype=torch.uint8, pin_memory=DEVICE != "cpu")


def _on_device() -> torch.Tensor:
    return torch.randint(0, 256, (COPY_BYTES,), dtype=torch.uint8, device=DEVICE)


@cache
def _copy_buffers(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Source and target; made once, because a gibibyte of random bytes takes seconds."""
    source = _pinned() if kind == "upload" else _on_device()
    return source, _pinned() if kind == "download" else _on_device()


def _make_copy(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    source, target = _copy_buffers(pipeline[0]["op"])

    def run() -> Callable[[], np.ndarray]:
        for _ in range(GROUP):
            target.copy_(source, non_blocking=True)
        synchronize()
        return lambda: images

    return run


PEERS = {"gpu_memory": Peer("bytes copied, nothing else", lambda: torch.__version__, _make_copy)}
