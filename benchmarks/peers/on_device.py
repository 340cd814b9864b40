"""What peers on a GPU have in common: batches that lie there, or come from pinned memory and go back to it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.peers import Run, fastest

GROUP = 8  # batches of a run: queued one behind the other, and waited for together
Change = Callable[[torch.Tensor], torch.Tensor]  # uint8 (N, C, H, W) to the batch augmented, floats in [0, 1] or bytes


def staying(change: Change, images: np.ndarray, device: str) -> Run:
    """Pictures lie on the device as bytes, and what becomes of them stays there as their users take it.

    In the order of a picture's file (channels innermost, which torch calls channels_last) or plane by plane: what is faster.
    """
    inner = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)

    def over(batch: torch.Tensor) -> Run:
        @torch.inference_mode()
        def run() -> Callable[[], np.ndarray]:
            for _ in range(GROUP):
                found = change(batch)
            wait(device)
            return lambda: to_bytes(found).cpu().numpy()

        return run

    return fastest({"channels_last": over(inner), "contiguous": over(inner.contiguous())})


def travelling(change: Change, images: np.ndarray, device: str) -> Run:
    """Bytes from pinned memory to the device, and bytes back into pinned memory."""
    pinned = device != "cpu"
    source = torch.from_numpy(images)
    source = source.pin_memory() if pinned else source

    @torch.inference_mode()
    def once() -> torch.Tensor:
        return to_bytes(change(source.to(device, non_blocking=True).permute(0, 3, 1, 2)))

    back = torch.empty_like(once(), device="cpu", pin_memory=pinned)

    def run() -> np.ndarray:
        for _ in range(GROUP):
            back.copy_(once(), non_blocking=True)
        wait(device)
        return back.numpy()

    return run


def to_floats(batch: torch.Tensor) -> torch.Tensor:
    """Values in [0, 1], in the order that the bytes have."""
    return batch.float().div_(255.0)


@torch.inference_mode()
def to_bytes(batch: torch.Tensor) -> torch.Tensor:
    """Whole levels; bytes are left as they are."""
    return batch if batch.dtype == torch.uint8 else batch.mul(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8)


def wait(device: str) -> None:
    """Until the device has done all that it was asked for."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def events(device: str) -> tuple[Any, Any]:
    """Two marks in a stream that know the time between them."""
    with torch.cuda.device(device):
        return torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
