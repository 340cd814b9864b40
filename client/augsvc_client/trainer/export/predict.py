"""What a trained network says of files: pictures or sound, without a server.

    file → decoded as the service decodes → canvas → float in the card's scale → network → classes with probabilities

The canvas is made by Pillow's resampling here and by the service's in training: they differ by a grey level or so.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import nn

from augsvc_client.trainer.export.onnx import F32, Card

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
SOUNDS = (".wav", ".flac", ".ogg")
_AT_ONCE = 64
_ROUNDING = 1e-6  # of a pixel: no border for what floats make of a picture that fills its canvas


@dataclass(frozen=True, slots=True)
class Named:
    """A file, its classes from the most probable on with their probabilities; or why it could not be read."""

    path: Path
    classes: Sequence[tuple[str, float]]
    error: str = ""


def files_of(path: Path, card: Card) -> list[Path]:
    """The file itself, or all of the network's kind below a folder; raises ValueError if there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path} is no file and no folder")
    kinds = SOUNDS if card.inputs.rate else PICTURES
    found = sorted(one for one in path.rglob("*") if one.suffix.lower() in kinds and one.is_file())
    if not found:
        raise ValueError(f"{path} holds no file that ends in {', '.join(kinds)}")
    return found


def predict_files(model: nn.Module, card: Card, paths: Sequence[Path]) -> Iterator[Named]:
    """One answer a file, in order."""
    for start in range(0, len(paths), _AT_ONCE):
        some = paths[start : start + _AT_ONCE]
        read = [_read(path, card) for path in some]
        inputs = [one for one in read if not isinstance(one, str)]
        with torch.inference_mode():
            logits = model(torch.from_numpy(np.stack(inputs))) if inputs else torch.empty(0, len(card.classes))
        shares = iter(logits.softmax(dim=1).tolist())
        for path, one in zip(some, read, strict=True):
            if isinstance(one, str):
                yield Named(path, (), one)
            else:
                ranked = sorted(zip(card.classes, next(shares), strict=True), key=lambda pair: -pair[1])
                yield Named(path, ranked)


def picture(image: Image.Image, card: Card) -> F32:
    """C,H,W in the card's scale."""
    height, width = card.inputs.size or (image.height, image.width)
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16 bits become their upper 8, as in the service
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.mode not in ("L", "RGB"):
        upright = upright.convert("L" if upright.mode in ("1", "LA") else "RGB")
    upright = upright.convert("L" if card.inputs.channels == 1 else "RGB")
    pixels = np.asarray(_canvas(upright, width, height, card.fit), np.float32).reshape(
        height, width, card.inputs.channels
    )
    low, high = card.scale
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / 255.0 * (high - low) + low, np.float32)


def _canvas(image: Image.Image, width: int, height: int, fit: str) -> Image.Image:
    """`cover` scales and cuts, `contain` puts black around, `stretch` does neither."""
    across, down = width / image.width, height / image.height
    if fit == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR)
    scale = min(across, down) if fit == "contain" else max(across, down)
    seen = (width / scale, height / scale)  # of the picture, in its own pixels, about its middle
    border = tuple(max(0, ceil((far - side) / 2 - _ROUNDING)) for far, side in zip(seen, image.size, strict=True))
    framed = ImageOps.expand(image, border)
    left, top = ((side - far) / 2 for side, far in zip(framed.size, seen, strict=True))
    box = (max(0.0, left), max(0.0, top), min(framed.width, left + seen[0]), min(framed.height, top + seen[1]))
    return framed.resize((width, height), Image.Resampling.BILINEAR, box=box)


def sound(path: Path, rate: int, length: int) -> F32:
    """T samples at `rate` Hz, one channel: a longer clip keeps its middle, a shorter one is followed by zeros."""
    import soundfile
    import soxr

    samples, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    clip = samples.mean(axis=1, dtype=np.float32)
    if own_rate != rate:
        clip = soxr.resample(clip, own_rate, rate)
    begin = max(0, (len(clip) - length) // 2)
    clip = clip[begin : begin + length]
    return np.pad(clip, (0, length - len(clip))).astype(np.float32)


def _read(path: Path, card: Card) -> F32 | str:
    try:
        if card.inputs.rate:
            return sound(path, card.inputs.rate, card.inputs.length or card.inputs.rate)
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            return picture(image, card)
    except ImportError:
        raise
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError, RuntimeError):
        return "cannot be read as a " + ("sound" if card.inputs.rate else "picture")
