"""What all formats of image files share: the settings that say how a file is decoded, and its decoding."""

import logging
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from augsvc.arrays import Pixels
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.apart import APART_S
from augsvc.data.decoders.registry import IMAGE_DECODERS, NUMBER_DECODERS
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.reader import digest_form
from augsvc.validation import ByteCount, Window
from augsvc_client.decoding.containers.png import has_16_bits
from augsvc_client.decoding.duration import image_decoding_seconds
from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.image import FACTORS, decode_image, decode_window, read_numbers, read_upright_size
from augsvc_client.decoding.limits import MAX_IMAGE_BYTES, MAX_PIXELS
from augsvc_client.decoding.memory import MAX_PIXEL_BYTES, MAX_WINDOWED_PIXEL_BYTES, image_decoding_bytes

logger = logging.getLogger("augsvc")


class ImageFilesSettings(BaseModel):
    """The operator's settings of image files; all but `statistics` are part of a dataset's version."""

    channels: Literal[1, 3] = 3
    window: Window | None = None  # the files' numbers to be black and white; None: 8 bits, of 16 the upper ones
    strict: bool = True  # damaged JPEG data are undecodable; false: they are decoded as they come
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=178_956_970)  # at most Pillow's limit for an error
    max_file_bytes: ByteCount = Field(default=MAX_IMAGE_BYTES, ge=1)
    statistics: Path | None = None  # a file of `augsvc fit`; its digest is part of the version, its path is not

    @property
    def decoding_bytes(self) -> int:
        """As `image_decoding_bytes` without the copies of the file, or a whole file if that is more."""
        pixel_bytes = MAX_PIXEL_BYTES if self.window is None else MAX_WINDOWED_PIXEL_BYTES
        return max(pixel_bytes * self.max_pixels, self.max_file_bytes)

    @property
    def decoders(self) -> tuple[str, ...]:
        """Those that files may need: by content, the extension does not choose one."""
        return IMAGE_DECODERS if self.window is None else NUMBER_DECODERS

    def version_form(self) -> dict[str, object]:
        """What a version covers of the settings; defaults that were added later only where they are changed."""
        form: dict[str, object] = self.model_dump(
            include={"format", "channels", "max_pixels", "max_file_bytes", "digest_contents"}
        )
        if not self.strict:
            form["strict"] = False
        if self.window is not None:
            form["window"] = self.window
        return form


class ImageReader:
    """Decodes the image files of one dataset; warns once of 16 bits that are reduced to 8."""

    def __init__(
        self,
        name: str,
        settings: ImageFilesSettings,
        cache: DecodedCache,
        hint: Callable[[], str] = lambda: "",
        factor: int = 1,
    ) -> None:
        """`hint` completes the warning; `cache` has the memory of pixels, and processes for files that may take long; `factor` is
        that of `decode_image`.
        """
        self._name, self._settings, self._hint, self._cache, self._factor = name, settings, hint, cache, factor
        self._has_warned = False

    def inspect(self, data: bytes) -> None:
        """Warns, once, of 16 bits that are reduced to 8."""
        if self._settings.window is None and has_16_bits(data) and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "%s has images of 16 bits a channel: only their upper 8 are served; set `window: [low, high]` to the range of "
                "their numbers%s%s",
                self._name,
                self._describe_range(data),
                self._hint(),
            )

    def decoding_bytes(self, data: bytes) -> int:
        """The memory that decoding a file takes at its peak, by its header."""
        return image_decoding_bytes(data, self._settings.max_pixels, self._settings.window is not None)

    @cached_property
    def form(self) -> bytes:
        """As `Reader.form`."""
        settings = self._settings.model_dump(include={"channels", "window", "strict", "max_pixels"})
        if self._factor > 1:
            settings["factor"] = self._factor
        return digest_form(settings, self._settings.decoders)

    def reduced(self, data: bytes, least: tuple[int, int]) -> "tuple[ImageReader, tuple[int, int]] | None":
        """As `Reader.reduced`: JPEGs of 8 bits, to a half, a quarter or an eighth, by their header alone."""
        size = None if self._settings.window else read_upright_size(data, self._settings.max_pixels)
        if size is None:
            return None
        most = min(whole / wanted for whole, wanted in zip(size, least, strict=True))
        fitting = [reader for reader in self._smaller if reader._factor <= most]
        return (fitting[0], size) if fitting else None

    @cached_property
    def _smaller(self) -> tuple["ImageReader", ...]:
        """The smallest first."""
        return tuple(ImageReader(self._name, self._settings, self._cache, self._hint, factor) for factor in FACTORS)

    def decode(self, data: bytes) -> Decoded:
        """The pixels (H, W, C) of a file's contents: uint8, or uint16 through a window; raises as `DecoderProcesses.run`."""
        settings = self._settings
        decode: Callable[..., Pixels] = decode_image
        arguments: tuple[object, ...] = (settings.channels, settings.max_pixels, settings.strict, self._factor)
        memory = {"allocate": self._cache.buffers.take}
        if settings.window is not None:
            decode, memory = decode_window, {}
            arguments = (settings.channels, settings.max_pixels, settings.window, settings.strict)
        seconds = self._seconds(data)
        if seconds <= APART_S:
            return Decoded(decode(data, *arguments, **memory))
        pixels: Pixels = self._cache.processes.run(decode, data, arguments, seconds, self.decoding_bytes(data))[0]
        pixels.setflags(write=False)
        return Decoded(pixels)

    def _seconds(self, data: bytes) -> float:
        settings = self._settings
        return image_decoding_seconds(data, settings.max_pixels, settings.window is not None)

    def _describe_range(self, data: bytes) -> str:
        """The least and the greatest number of a file; empty if it is too large, or damaged, for them."""
        if self._seconds(data) > APART_S:
            return ""
        try:
            numbers = read_numbers(data, self._settings.max_pixels)
        except Undecodable:
            return ""
        return f", which is {numbers.min()} to {numbers.max()} in the first one"
