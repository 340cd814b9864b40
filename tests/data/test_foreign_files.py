"""A file of another format is undecodable, and the reason says what it is."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.image import decode_image
from tests.data.sounds import encode, wav, waves


def image(format):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format)
    return file.getvalue()


def array():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz"):
        pass
    return file.getvalue()


NEITHER = {
    "a web page": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "XML or SVG": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "JSON": b'\xef\xbb\xbf{"error": "not found"}',
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "an archive": archive(),
    "an array of NumPy": array(),
    "zeros": bytes(5000),
    "MPEG-4": b"\0\0\0\x20ftypisom" + bytes(99),
}
IMAGES = {name: image(name) for name in ("GIF", "BMP", "TIFF", "AVIF")} | {"JPEG 2000": image("JPEG2000")}
SOUNDS = {"MP3": encode(waves(5000), "MP3", "MPEG_LAYER_III"), "AU": encode(waves(99), "AU", "PCM_16")}
SOUNDS |= {"CAF": encode(waves(99), "CAF", "PCM_16")}


@pytest.mark.parametrize("name", [*NEITHER, *IMAGES, *SOUNDS, "WAV"])
def test_an_image_decoder_names_what_it_refuses(name):
    data = (NEITHER | IMAGES | SOUNDS | {"WAV": wav(bytes(8))})[name]
    with pytest.raises(Undecodable, match=f"^the file is not a JPEG, PNG or WebP image: it is {name}"):
        decode_image(data, 3, 1000)


@pytest.mark.parametrize("name", [*NEITHER, *IMAGES, "AU", "CAF", "JPEG"])
def test_a_sound_decoder_names_what_it_refuses(name):
    data = (NEITHER | IMAGES | SOUNDS | {"JPEG": image("JPEG")})[name]
    with pytest.raises(Undecodable, match=f"^the file is no WAV, AIFF, FLAC, OGG or MP3 sound: it is {name}"):
        decode_sound(data, 1000)


@pytest.mark.parametrize("data", [b"x", b"text, and nothing else", b"\xff\xd8", b"RIFF\0\0\0\0"])
def test_what_says_nothing_is_not_guessed(data):
    with pytest.raises(Undecodable, match=r"image$"):
        decode_image(data, 3, 1000)
    with pytest.raises(Undecodable, match=r"sound$"):
        decode_sound(data, 1000)
