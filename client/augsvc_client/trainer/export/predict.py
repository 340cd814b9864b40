"""Classify image or audio files with a trained network, without a server.

    file → decode → fit to the canvas → float in the card's scale → network → classes with probabilities

Files are decoded by the service's code, within its default limits, and clips fitted by it. Images are fitted to the canvas
by Pillow here and by the service in training: they differ by about one grey level.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.image import decode_image, decode_window
from augsvc_client.decoding.limits import (
    AUDIO_SUFFIXES,
    IMAGE_SUFFIXES,
    MAX_AUDIO_BYTES,
    MAX_FRAMES,
    MAX_IMAGE_BYTES,
    MAX_PIXELS,
    TIFF_SUFFIXES,
    is_leftover,
)
from augsvc_client.trainer.export.card import Card
from augsvc_client.trainer.files import read_file

F32 = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]  # H,W,C

_BATCH_SIZE, _BATCH_VALUES = 64, 1 << 24  # whichever is less: 64 images of 3×224×224 are 10 million values
_ROUNDING = 1e-6  # in pixels: rounding errors of an image that fills its canvas must not add a border
# Averages longer sides than 2,048 times the canvas before the filter: its table takes 16 bytes a pixel of the side.
_REDUCING_GAP = 1024.0


@dataclass(frozen=True, slots=True)
class FilePrediction:
    """A file with its classes and probabilities, the most probable first; or the reason why it has none."""

    path: Path
    classes: Sequence[tuple[str, float]]
    error: str = ""


def list_files(path: Path, card: Card) -> list[Path]:
    """The file itself, or all files of the network's medium in a folder, as the service finds them.

    A folder that cannot be listed, a pipe and a link that leads nowhere are in the list too, for their errors. Raises
    ValueError if there are none.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{path} is neither a file nor a folder")
    images = IMAGE_SUFFIXES if card.inputs.window is None else IMAGE_SUFFIXES | TIFF_SUFFIXES
    suffixes = AUDIO_SUFFIXES if card.inputs.rate else images
    unlisted: list[OSError] = []
    files: list[Path] = []
    for folder, subfolders, names in os.walk(path, onerror=unlisted.append):
        subfolders[:] = [name for name in subfolders if not is_leftover(name)]
        visible = [Path(folder, name) for name in names if not is_leftover(name)]
        files += [file for file in visible if file.suffix.lower() in suffixes]
    files += [Path(error.filename) for error in unlisted]
    if not files:
        raise ValueError(f"{path} has no files with the suffixes {', '.join(sorted(suffixes))}")
    return sorted(files)


def predict_files(model: nn.Module, card: Card, paths: Sequence[Path]) -> Iterator[FilePrediction]:
    """One prediction per file, in order; a file without one has an error."""
    step = max(1, min(_BATCH_SIZE, _BATCH_VALUES // prod(card.inputs.example(1).shape)))
    for start in range(0, len(paths), step):
        chunk = paths[start : start + step]
        loaded = [_load(path, card) for path in chunk]
        inputs = [array for array in loaded if not isinstance(array, str)]
        with torch.inference_mode():
            logits = model(torch.from_numpy(np.stack(inputs))) if inputs else torch.empty(0, len(card.classes))
        probabilities = iter(logits.softmax(dim=1))
        for path, array in zip(chunk, loaded, strict=True):
            if isinstance(array, str):
                yield FilePrediction(path, (), array)
            else:
                yield _rank(path, card.classes, next(probabilities))


def _rank(path: Path, classes: Sequence[str], probabilities: torch.Tensor) -> FilePrediction:
    if not probabilities.isfinite().all():
        return FilePrediction(path, (), "the network's values for it are not finite")
    return FilePrediction(path, sorted(zip(classes, probabilities.tolist(), strict=True), key=lambda pair: -pair[1]))


def prepare_image(image: Image.Image, card: Card) -> F32:
    """A grey or RGB image on the card's canvas, C,H,W in the card's scale."""
    height, width = card.inputs.size or (image.height, image.width)
    pixels = _fit(image, width, height, card.fit).astype(np.float32)
    low, high = card.scale
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / 255.0 * (high - low) + low, np.float32)


def _fit(image: Image.Image, width: int, height: int, fit: str) -> Pixels:
    """Resize to the canvas, as H,W,C: `cover` crops, `contain` adds black, `stretch` changes the aspect ratio."""
    scales = (width / image.width, height / image.height)
    if fit == "stretch":
        return _resize(image, width, height)
    if fit == "contain":
        return _contain(image, width, height, min(scales))
    visible = (width / max(scales), height / max(scales))  # the canvas in image pixels, centred
    left, top = (max(0.0, (side - far) / 2) for side, far in zip(image.size, visible, strict=True))
    return _resize(
        image, width, height, (left, top, min(image.width, left + visible[0]), min(image.height, top + visible[1]))
    )


def _contain(image: Image.Image, width: int, height: int, scale: float) -> Pixels:
    """One side fills the canvas. The other one is resampled with black around it, without making the padded image: that
    of an image of 60,000 × 1 has 3.6 billion pixels."""
    inner_width, inner_height = image.width * scale, image.height * scale
    if inner_height < height - _ROUNDING:
        return _pad_and_resample(_resize(image, width, image.height), height, scale)
    if inner_width < width - _ROUNDING:
        columns = _resize(image, image.width, height).swapaxes(0, 1)
        return _pad_and_resample(columns, width, scale).swapaxes(0, 1)
    return _resize(image, width, height)


def _resize(
    image: Image.Image, width: int, height: int, box: tuple[float, float, float, float] | None = None
) -> Pixels:
    resized = image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=_REDUCING_GAP)
    return np.asarray(resized).reshape(height, width, -1)


def _pad_and_resample(rows: Pixels, count: int, scale: float) -> Pixels:
    """`count` rows of 1/`scale` rows each from `rows` (N, …) in the middle of black ones, by Pillow's bilinear filter: a
    triangle that reaches one row to either side, or one row of the result if that is more."""
    radius = max(1.0, 1.0 / scale)
    centers = (np.arange(count) + 0.5 - count / 2) / scale + len(rows) / 2
    result = np.zeros((count, *rows.shape[1:]), np.float32)
    for i, center in enumerate(centers):
        first, end = (int(np.floor(center + 0.5 + offset)) for offset in (-radius, radius))
        weights = np.clip(1.0 - np.abs(np.arange(first, end) + 0.5 - center) / radius, 0.0, None)
        low, high = (min(max(0, edge), len(rows)) for edge in (first, end))  # the rest is black
        taps = (weights / weights.sum())[low - first : high - first].astype(np.float32)
        result[i] = np.tensordot(taps, rows[low:high].astype(np.float32), 1)
    return np.rint(result).astype(np.uint8)


def load_clip(path: Path, rate: int, length: int) -> F32:
    """`length` samples at `rate` Hz, mixed to one channel: longer clips are centre-cropped, shorter ones zero-padded.

    Raises Undecodable; OSError, and ValueError for what is not a regular file or too large.
    """
    from augsvc_client.decoding.audio import decode_sound  # needs packages of the extra `sound`
    from augsvc_client.decoding.resampling import fit_clip

    audio, file_rate = decode_sound(read_file(path, MAX_AUDIO_BYTES), MAX_FRAMES)
    return fit_clip(audio, file_rate, length, rate)


def _decode_image(data: bytes, card: Card) -> Pixels:
    """Through the window of the training data, if there was one: rounded to 8 bits, as the batches were."""
    if card.inputs.window is None:
        return decode_image(data, card.inputs.channels, MAX_PIXELS)
    values = decode_window(data, card.inputs.channels, MAX_PIXELS, card.inputs.window)
    return (values + np.uint16(128) >> 8).astype(np.uint8)


def _load(path: Path, card: Card) -> F32 | str:
    """The network's input, or the error text."""
    kind = "audio" if card.inputs.rate else "an image"
    try:
        if path.is_dir():
            os.scandir(path).close()  # raises the reason why it is in the list
        if card.inputs.rate:
            return load_clip(path, card.inputs.rate, card.inputs.length or card.inputs.rate)
        pixels = _decode_image(read_file(path, MAX_IMAGE_BYTES), card)
        return prepare_image(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels), card)
    except (Undecodable, ValueError) as err:
        reason = str(err)
    except OSError as err:
        reason = err.strerror or str(err)
    except MemoryError:
        reason = "it needs more memory than there is"
    return f"cannot be read as {kind}: {reason}"
