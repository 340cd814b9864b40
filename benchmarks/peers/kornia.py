"""Kornia as its users write it: `AugmentationSequential` over a float batch, on the CPU and on a GPU."""

from typing import Any

import kornia
import kornia.augmentation as K
import numpy as np
import torch

from augsvc.cpus import cores
from benchmarks.peers import Missing, Peer, Run, fastest, on_gpu, steps
from benchmarks.recipes import BLUR_TAPS, SIZE

COMPILE_MODES: list[dict[str, Any]] = [{"mode": "default"}, {"mode": "reduce-overhead"}]

_SQUARE = (SIZE, SIZE)

STEPS = {
    "affine": lambda s: K.RandomAffine(
        degrees=tuple(s["degrees"]),
        translate=(s["translate_x"][0], s["translate_y"][0]),
        scale=tuple(s["scale"]),
        p=1.0,
    ),
    "autocontrast": lambda s: K.RandomAutoContrast(p=1.0),
    "box_blur": lambda s: K.RandomBoxBlur((3, 3), p=1.0),
    "brightness": lambda s: K.RandomBrightness(tuple(s["factor"]), p=1.0),
    "center_crop": lambda s: K.CenterCrop(_SQUARE),
    "channel_dropout": lambda s: K.RandomChannelDropout(p=1.0),
    "channel_shuffle": lambda s: K.RandomChannelShuffle(p=1.0),
    "clahe": lambda s: K.RandomClahe(tuple(map(float, s["clip_limit"])), p=1.0),
    "color_jitter": lambda s: K.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
        p=1.0,
    ),
    "color_shift": lambda s: K.RandomRGBShift(*[s["shift"][0]] * 3, p=1.0),
    "contrast": lambda s: K.RandomContrast(tuple(s["factor"]), p=1.0),
    "equalize": lambda s: K.RandomEqualize(p=1.0),
    "erasing": lambda s: K.RandomErasing(scale=tuple(s["scale"]), ratio=tuple(s["ratio"]), p=1.0),
    "gamma": lambda s: K.RandomGamma(gamma=tuple(s["gamma"]), p=1.0),
    "gaussian_blur": lambda s: K.RandomGaussianBlur((BLUR_TAPS, BLUR_TAPS), tuple(s["sigma"]), p=1.0),
    "gaussian_noise": lambda s: K.RandomGaussianNoise(std=s["std"][0], p=1.0),
    "grayscale": lambda s: K.RandomGrayscale(p=1.0),
    "horizontal_flip": lambda s: K.RandomHorizontalFlip(p=s.get("p", 1.0)),
    "invert": lambda s: K.RandomInvert(p=1.0),
    "jpeg": lambda s: K.RandomJPEG(tuple(float(q) for q in s["quality"]), p=1.0),
    "median_blur": lambda s: K.RandomMedianBlur((3, 3), p=1.0),
    "motion_blur": lambda s: K.RandomMotionBlur(s["length"][0], tuple(map(float, s["degrees"])), 0.0, p=1.0),
    "perspective": lambda s: K.RandomPerspective(s["distortion"][0], p=1.0),
    "planckian_jitter": lambda s: K.RandomPlanckianJitter(p=1.0),
    "plasma": lambda s: K.RandomPlasmaBrightness(tuple(s["roughness"]), tuple(s["intensity"]), p=1.0),
    "posterize": lambda s: K.RandomPosterize(4.0, p=1.0),
    "rain": lambda s: K.RandomRain(tuple(s["drops"]), tuple(s["length"]), tuple(s["slant"]), p=1.0),
    "random_crop": lambda s: K.RandomCrop(_SQUARE),
    "random_resized_crop": lambda s: K.RandomResizedCrop(_SQUARE),
    "resize": lambda s: [K.Resize(256, side="short"), K.CenterCrop(_SQUARE)],
    "rotate90": lambda s: K.RandomRotation90((0, 3), p=1.0),
    "rotation": lambda s: K.RandomRotation(degrees=tuple(s["degrees"]), p=1.0),
    "salt_and_pepper": lambda s: K.RandomSaltAndPepperNoise(s["amount"][0], s["salt"][0], p=1.0),
    "saturation": lambda s: K.RandomSaturation(tuple(s["factor"]), p=1.0),
    "sharpen": lambda s: K.RandomSharpness(tuple(map(float, s["amount"])), p=1.0),
    "shear": lambda s: K.RandomShear((*map(float, s["x"]), *map(float, s["y"])), p=1.0),
    "shortest_side": lambda s: [K.Resize(s["pixels"][0], side="short"), K.CenterCrop(_SQUARE)],
    "snow": lambda s: K.RandomSnow(tuple(s["amount"]), tuple(map(float, s["brightness"])), p=1.0),
    "solarize": lambda s: K.RandomSolarize((0.5, 0.5), 0.0, p=1.0),
    "translate": lambda s: K.RandomTranslate(tuple(s["x"]), tuple(s["y"]), p=1.0),
    "vertical_flip": lambda s: K.RandomVerticalFlip(p=1.0),
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
