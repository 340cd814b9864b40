"""The media, by name: the only list of them."""

from collections.abc import Container, Mapping
from types import MappingProxyType

from augsvc.streams.audio_medium import AUDIO
from augsvc.streams.image_medium import IMAGES
from augsvc.streams.medium import Medium

MEDIA: Mapping[str, Medium] = MappingProxyType({medium.name: medium for medium in (IMAGES, AUDIO)})


def medium_of(tensors: Container[str]) -> Medium:
    """The medium whose samples are among tensors; images if none is."""
    return next((medium for medium in MEDIA.values() if medium.name in tensors), IMAGES)
