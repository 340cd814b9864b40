"""Kornia as its users write it: `AugmentationSequential` over a float batch, on the CPU and on a GPU."""

from typing import Any

import kornia
import kornia.augmentation as K
import numpy as np
import torch

from augsvc.cpus import cores
from benchmarks.peers import Missing, Peer, Run, fastest, on_gpu, steps
from benchmarks.recipes import BLUR_TAPS

COMPILE_MODES: list[dict[str, str]] = [{"mode": "default"}, {"mode": "reduce-overhead"}]

STEPS = {
    "rotation": lambda s: K.RandomRotation(degrees=tuple(s["degrees"]), p=1.0),
    "horizontal_flip": lambda s: K.RandomHorizontalFlip(p=1.0),
    "affine": lambda s: K.RandomAffine(
        degrees=tuple(s["degrees"]),
        translate=(s["translate_x"][0], s["translate_y"][0]),
        scale=tuple(s["scale"]),
        p=1.0,
    ),
    "color_jitter": lambda s: K.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
        p=1.0,
    ),
    "color_shift": lambda s: K.RandomRGBShift(*[s["shift"][0]] * 3, p=1.0),
    "gamma": lambda s: K.RandomGamma(gamma=tuple(s["gamma"]), p=1.0),
    "gaussian_blur": lambda s: K.RandomGaussianBlur((BLUR_TAPS, BLUR_TAPS), tuple(s["sigma"]), p=1.0),
    "gaussian_noise": lambda s: K.RandomGaussianNoise(std=s["std"][0], p=1.0),
    "erasing": lambda s: K.RandomErasing(scale=tuple(s["scale"]), ratio=tuple(s["ratio"]), p=1.0),
}


def version() -> str:
    """Kornia's and torch's."""
    return f"{kornia.__version__}, torch {torch.__version__}"


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """On the CPU, with one torch thread or one a core, whichever is faster."""
    augmentations = K.AugmentationSequential(*steps(STEPS, pipeline), data_keys=["input"])

    def with_threads(threads: int) -> Run:
        @torch.inference_mode()
        def run() -> np.ndarray:
            torch.set_num_threads(threads)
            batch = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0).contiguous()
            return on_gpu.to_bytes(augmentations(batch)).numpy()

        return run

    return fastest({str(threads): with_threads(threads) for threads in sorted({1, cores()})})


def change(pipeline: list[dict[str, Any]]) -> on_gpu.Change:
    """Bytes on the device to augmented floats."""
    augmentations = K.AugmentationSequential(*steps(STEPS, pipeline), data_keys=["input"]).to(on_gpu.DEVICE)
    return lambda batch: augmentations(on_gpu.to_floats(batch))


def make_compiled(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Under `torch.compile`, in the modes that users try; compilation comes before the clock.

    Raises:
        Missing: no mode works.
    """
    runs, failures = {}, []
    for mode in COMPILE_MODES:
        torch.compiler.reset()
        try:
            run = on_gpu.resident(torch.compile(change(pipeline), **mode), images)
            run()
            runs[str(mode)] = run
        except Missing:
            raise
        except Exception as err:  # a compiler may raise anything
            failures.append(f"{mode}: {type(err).__name__}")
    if not runs:
        raise Missing("cannot be compiled: " + ", ".join(failures))
    return fastest(runs)


PEERS = {
    "kornia": Peer("Kornia, `AugmentationSequential`", version, make),
    "gpu_compiled": Peer("Kornia under `torch.compile`", version, make_compiled),
    **on_gpu.gpu_peers(
        "kornia", "Kornia, `AugmentationSequential`", version, lambda pipeline: {"eager": change(pipeline)}
    ),
}
