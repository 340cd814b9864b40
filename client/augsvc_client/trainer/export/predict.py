"""Classify image or audio files with a trained network, without a server.

    file → decode → fit to the canvas → float in the card's scale → network → classes with probabilities

Images are resampled by Pillow here and by the service in training: they differ by about one grey level.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import nn

from augsvc_client.trainer.export.card import Card

F32 = npt.NDArray[np.float32]

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg")
_BATCH_SIZE = 64
_ROUNDING = 1e-6  # in pixels: rounding errors of an image that fills its canvas must not add a border


@dataclass(frozen=True, slots=True)
class FilePrediction:
    """A file with its classes and probabilities, the most probable first; or the reason why it could not be read."""

    path: Path
    classes: Sequence[tuple[str, float]]
    error: str = ""


def list_files(path: Path, card: Card) -> list[Path]:
    """The file itself, or all files of the network's medium in a folder; raises ValueError if there are none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path} is neither a file nor a folder")
    suffixes = AUDIO_SUFFIXES if card.inputs.rate else IMAGE_SUFFIXES
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    if not files:
        raise ValueError(f"{path} has no files with the suffixes {', '.join(suffixes)}")
    return files


def predict_files(model: nn.Module, card: Card, paths: Sequence[Path]) -> Iterator[FilePrediction]:
    """One prediction per file, in order."""
    for start in range(0, len(paths), _BATCH_SIZE):
        chunk = paths[start : start + _BATCH_SIZE]
        loaded = [_load(path, card) for path in chunk]
        inputs = [array for array in loaded if not isinstance(array, str)]
        with torch.inference_mode():
            logits = model(torch.from_numpy(np.stack(inputs))) if inputs else torch.empty(0, len(card.classes))
        probabilities = iter(logits.softmax(dim=1).tolist())
        for path, array in zip(chunk, loaded, strict=True):
            if isinstance(array, str):
                yield FilePrediction(path, (), array)
            else:
                ranked = sorted(zip(card.classes, next(probabilities), strict=True), key=lambda pair: -pair[1])
                yield FilePrediction(path, ranked)


def prepare_image(image: Image.Image, card: Card) -> F32:
    """The image on the card's canvas, C,H,W in the card's scale."""
    height, width = card.inputs.size or (image.height, image.width)
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # of 16 bits the upper 8 are used, as in the service
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode not in ("L", "RGB"):
        upright = upright.convert("L" if upright.mode in ("1", "LA") else "RGB")
    upright = upright.convert("L" if card.inputs.channels == 1 else "RGB")
    pixels = np.asarray(_fit(upright, width, height, card.fit), np.float32).reshape(height, width, card.inputs.channels)
    low, high = card.scale
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / 255.0 * (high - low) + low, np.float32)


def _fit(image: Image.Image, width: int, height: int, fit: str) -> Image.Image:
    """Resize to the canvas: `cover` crops, `contain` pads with black, `stretch` changes the aspect ratio."""
    scale_x, scale_y = width / image.width, height / image.height
    if fit == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scale = min(scale_x, scale_y) if fit == "contain" else max(scale_x, scale_y)
    visible = (width / scale, height / scale)  # the canvas in image pixels, centred
    border = tuple(max(0, ceil((far - side) / 2 - _ROUNDING)) for far, side in zip(visible, image.size, strict=True))
    padded = ImageOps.expand(image, border)
    left, top = ((side - far) / 2 for side, far in zip(padded.size, visible, strict=True))
    box = (max(0.0, left), max(0.0, top), min(padded.width, left + visible[0]), min(padded.height, top + visible[1]))
    return padded.resize((width, height), Image.Resampling.BILINEAR, box=box)


def load_clip(path: Path, rate: int, length: int) -> F32:
    """`length` samples at `rate` Hz, mixed to one channel: longer clips are centre-cropped, shorter ones zero-padded."""
    import soundfile
    import soxr

    samples, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    clip = samples.mean(axis=1, dtype=np.float32)
    if file_rate != rate:
        clip = soxr.resample(clip, file_rate, rate)
    start = max(0, (len(clip) - length) // 2)
    clip = clip[start : start + length]
    return np.pad(clip, (0, length - len(clip))).astype(np.float32)


def _load(path: Path, card: Card) -> F32 | str:
    """The network's input, or the error text."""
    try:
        if card.inputs.rate:
            return load_clip(path, card.inputs.rate, card.inputs.length or card.inputs.rate)
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            return prepare_image(image, card)
    except ImportError:
        raise
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError, RuntimeError):
        return "cannot be read as " + ("audio" if card.inputs.rate else "an image")
