"""Decoding in processes that can be killed: the same arrays, limits of time and memory, and what becomes of the processes."""

import io
import logging
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.decoders import apart
from augsvc.data.decoders.apart import DecoderLost, DecoderProcesses
from augsvc.data.decoders.mask import decode_mask
from augsvc.data.formats import image_files, sound_files
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import Cancelled, DatasetUnavailable, Undecodable
from augsvc_client.decoding import duration
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.duration import image_decoding_seconds, interval_decoding_seconds, sound_decoding_seconds
from augsvc_client.decoding.image import decode_image, decode_window
from augsvc_client.decoding.limits import MAX_FRAMES
from tests.data.sounds import VALID, encode, waves
from tests.data.test_sound_containers import without_length

MIB = 1 << 20


def image_file(kind, size=(40, 30), **options):
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, kind, **options)
    return out.getvalue()


def spin(data):
    """Takes CPU until it is killed."""
    while True:
        pass


def sleep(data):
    """Takes time, but no CPU."""
    time.sleep(60)


def fill(data, n_bytes):
    """Takes memory."""
    return np.ones(n_bytes, np.uint8)


def crash(data):
    """Ends its process."""
    os.kill(os.getpid(), signal.SIGSEGV)


def end_by(data, name):
    """Ends its process by a signal."""
    os.kill(os.getpid(), getattr(signal, name))


def die_once(data, marker):
    """As if the operator killed it, the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return np.array([7])


def fail(data):
    """Is wrong, as a decoder should never be."""
    raise ZeroDivisionError("by the bytes \udcff")


def die(data):
    """As if the operator killed it, every time."""
    os.kill(os.getpid(), signal.SIGKILL)


def run(decode, *arguments, data=b"", processes=None, n_bytes=MIB):
    """In a process, which imports this module first: on a busy machine in more than a CPU second."""
    return (processes or DecoderProcesses(max_cpu_s=10.0)).run(decode, data, arguments, 1.0, n_bytes)


def children():
    listed = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args"], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if "decoders.child" in line or "defunct" in line]


def test_arrays_and_reasons_are_those_of_the_thread():
    for decode, kind, arguments in (
        (decode_image, "JPEG", (3, 1 << 20, True)),
        (decode_window, "PNG", (1, 1 << 20, (0.0, 255.0), True)),
        (decode_mask, "PNG", (1 << 20,)),
    ):
        data = image_file(kind)
        (array,), expected = run(decode, *arguments, data=data), decode(data, *arguments)
        assert array.dtype == expected.dtype and (array == expected).all()
    with pytest.raises(Undecodable) as there:
        decode(data[:-40], *arguments)
    with pytest.raises(Undecodable) as here:
        run(decode, *arguments, data=data[:-40])
    assert str(here.value) == str(there.value)
    assert not children()


def test_limits_of_time_and_memory():
    """Time, which is a matter of the machine, makes no sample undecodable."""
    processes = DecoderProcesses(max_cpu_s=1.0, wall_s=30.0)
    with pytest.raises(DecoderLost, match="more than 1 s of CPU"):
        run(spin, processes=processes)
    assert processes.kills == 1
    with pytest.raises(MemoryError):
        run(fill, 2000 * MIB)
    with pytest.raises(Undecodable, match="ends the decoder"):
        run(crash)
    hasty = DecoderProcesses(wall_s=1.0)
    with pytest.raises(DecoderLost, match="longer than 1 s"):
        run(sleep, processes=hasty)
    assert hasty.kills == 1 and not children()


def test_a_process_that_someone_kills_is_replaced_once(tmp_path):
    (array,) = run(die_once, str(tmp_path / "marker"))
    assert array.tolist() == [7]
    with pytest.raises(DecoderLost, match="killed twice"):
        run(die)
    assert not children()


def test_a_decoder_that_fails_is_not_tried_again_in_the_thread():
    with pytest.raises(DecoderLost, match="its decoder failed: ZeroDivisionError: by the bytes"):
        run(fail)
    assert not children()


@pytest.mark.parametrize("lack", ["executable", "processes", "memory files"])
def test_without_processes_the_thread_decodes_and_the_log_says_so_once(lack, monkeypatch, caplog):
    def refuse(*args, **options):
        raise BlockingIOError("Resource temporarily unavailable")

    if lack == "executable":
        monkeypatch.setattr(apart.sys, "executable", "/nowhere/python")
    else:
        monkeypatch.setattr(
            *((apart.subprocess, "Popen") if lack == "processes" else (apart.os, "memfd_create")), refuse
        )
    processes, data = DecoderProcesses(), image_file("PNG")
    with caplog.at_level(logging.WARNING, "augsvc.data"):
        for _ in range(2):
            (array,) = run(decode_image, 3, 1 << 20, data=data, processes=processes)
    assert (array == decode_image(data, 3, 1 << 20)).all()
    assert caplog.text.count("cannot be interrupted") == 1


def test_stop_ends_the_processes_promptly():
    processes, outcomes = DecoderProcesses(), []

    def decode():
        try:
            run(sleep, processes=processes)
        except Cancelled:
            outcomes.append("cancelled")

    threads = [threading.Thread(target=decode) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(children()) < 2:
        time.sleep(0.05)
    began = time.monotonic()
    processes.stop()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 10 and outcomes == ["cancelled"] * 2 and not children()
    with pytest.raises(Cancelled):
        run(sleep, processes=processes)


def folder(root, **files):
    (root / "cat").mkdir(parents=True)
    for name, data in files.items():
        (root / "cat" / f"{name}.png").write_bytes(data)
    return open_image_folder("pets", ImageFolderSettings(format="image_folder", path=root), DecodedCache(0))[0]


@pytest.mark.parametrize("name", ["SIGBUS", "SIGILL"])
def test_a_process_that_the_machine_ends_makes_no_sample_undecodable(name):
    """Memory that is not there, and instructions that this CPU lacks."""
    with pytest.raises(DecoderLost, match="killed twice"):
        run(end_by, name)


def test_a_dataset_decodes_large_files_apart_and_small_ones_in_threads(tmp_path, monkeypatch):
    """And what ends the decoder is undecodable, what may pass is not."""
    source = folder(tmp_path, large=image_file("PNG", (60, 50)), small=image_file("PNG", (4, 4)))
    calls = []

    def recorded(self, decode, data, arguments, seconds, n_bytes):
        calls.append(seconds)
        if len(calls) > 1:
            raise DecoderLost("it was killed twice") if len(calls) == 2 else Undecodable("it ends the decoder")
        return original(self, decode, data, arguments, seconds, n_bytes)

    original = DecoderProcesses.run
    monkeypatch.setattr(DecoderProcesses, "run", recorded)
    monkeypatch.setattr(image_files, "APART_S", 5e-5)
    large, small = source.read(0).image, source.read(1).image
    assert large.shape == (60, 50, 3) and not large.flags.writeable and small.shape == (4, 4, 3) and len(calls) == 1
    assert (large == decode_image((tmp_path / "cat" / "large.png").read_bytes(), 3, 1 << 20)).all()
    with pytest.raises(DatasetUnavailable, match=r"sample 0 of 'pets', cat/large.png, .* killed twice"):
        source.read(0)
    with pytest.raises(Undecodable, match="ends the decoder"):
        source.read(0)
    assert "ends the decoder" in source.defect(0)


@pytest.mark.parametrize(("kind", "least"), [("JPEG", 1e-9), ("PNG", 10e-9), ("WEBP", 10e-9)])
def test_the_estimate_is_of_the_declared_size_and_the_scans(kind, least, monkeypatch):
    monkeypatch.setattr(duration, "_SMALL", 0)
    data = image_file(kind, (300, 200))
    seconds = image_decoding_seconds(data, 1 << 20, windowed=False)
    assert 60_000 * least < seconds < 60_000 * 100e-9
    assert image_decoding_seconds(data, 1 << 20, windowed=True) > seconds
    assert image_decoding_seconds(data, 100, windowed=False) == image_decoding_seconds(b"none", 100, False) == 0
    if kind == "JPEG":
        scans = image_file(kind, (300, 200), progressive=True)
        assert image_decoding_seconds(scans, 1 << 20, windowed=False) > 2 * seconds


@pytest.mark.parametrize("name", ["wav-16", "flac-16", "vorbis", "opus"])
def test_long_sounds_are_decoded_apart_and_short_ones_in_threads(name, tmp_path, monkeypatch):
    """With the same samples, rates and reasons."""
    (tmp_path / "cat").mkdir()
    data = VALID[name]
    for file, content in (("1.wav", data), ("2.wav", data[:-40])):
        (tmp_path / "cat" / file).write_bytes(content)
    settings = AudioFolderSettings(format="audio_folder", path=tmp_path)

    def read():
        source = open_audio_folder("calls", settings, DecodedCache(0))[0]
        with pytest.raises(Undecodable) as refused:
            source.read(1)
        return source.read(0), str(refused.value)

    calls, original = [], DecoderProcesses.run
    monkeypatch.setattr(
        DecoderProcesses, "run", lambda self, decode, *args: calls.append(decode) or original(self, decode, *args)
    )
    here, reason = read()
    assert not calls
    monkeypatch.setattr(sound_files, "APART_S", 0.0)
    there, same_reason = read()
    assert calls == [decode_sound] * 2
    assert (there.audio == here.audio).all() and there.audio.dtype == np.float32 and not there.audio.flags.writeable
    assert (there.rate, same_reason) == (here.rate, reason)


@pytest.mark.parametrize("name", ["wav-16", "flac-16"])
def test_long_intervals_are_decoded_apart_too(name, tmp_path, monkeypatch):
    """They were decoded in the thread that reads, however long they take: of a FLAC of a million frames, the walk alone."""
    settings = AudioFolderSettings(format="audio_folder", path=tmp_path)
    calls, original = [], DecoderProcesses.run
    monkeypatch.setattr(
        DecoderProcesses, "run", lambda self, decode, *args: calls.append(decode) or original(self, decode, *args)
    )
    reader = sound_files.SoundReader(settings, DecoderProcesses())
    here = reader.decode(VALID[name], (0.01, 0.02))
    assert not calls
    monkeypatch.setattr(sound_files, "APART_S", 0.0)
    there = reader.decode(VALID[name], (0.01, 0.02))
    assert calls == [decode_sound]
    assert (there.values == here.values).all() and there.rate == here.rate
    assert len(here.values) == round(0.02 * here.rate) - round(0.01 * here.rate)


def test_the_estimate_of_an_interval_is_of_its_values_and_of_the_walk():
    recording = encode(waves(900_000), "FLAC", "PCM_16")
    short, long = (interval_decoding_seconds(recording, seconds) for seconds in (0.01, 60.0))
    assert short < long <= sound_decoding_seconds(recording, MAX_FRAMES)
    frame = recording[recording.index(b"\xff\xf8") :][:16]
    assert interval_decoding_seconds(recording + 200_000 * frame, 0.01) > 0.5
    assert interval_decoding_seconds(bytes(1 << 20), 0.01) < 0.1
    assert interval_decoding_seconds(b"fLaC", 1.0) == 0.0


def estimate(data, max_frames=MAX_FRAMES):
    return sound_decoding_seconds(data, max_frames)


@pytest.mark.parametrize("name", VALID)
def test_the_estimate_of_a_sound_is_of_its_values(name):
    assert 1e-6 < estimate(VALID[name]) < 0.01
    tagged = b"ID3\4\0\0\0\0\0\0" + VALID[name]
    assert estimate(tagged) == estimate(VALID[name])
    for n_bytes in range(60):
        assert estimate(VALID[name][:n_bytes]) >= 0  # whatever is missing


def stating(flac, n_samples):
    """The FLAC with that number of samples in its header."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + n_samples.to_bytes(5, "big")[1:] + flac[26:]


def test_the_estimate_of_a_header_that_lies_is_of_the_worst():
    flac, stereo = VALID["flac-24"], VALID["flac-16"]
    assert estimate(stating(stereo, MAX_FRAMES)) > 0.8  # of two channels
    assert estimate(stating(flac, MAX_FRAMES + 1)) == 0  # which is refused by it
    piped = without_length(encode(waves(16_000 * 9), "FLAC", "PCM_16"))
    assert 1e-4 < estimate(piped) < 0.5
    assert estimate(without_length(flac) + b"\xff\xf8" * 200_000) > 0.8  # nothing else is known of it
    assert estimate(flac + b"\xff\xf8" * 200_000) > 0.8  # of the walk over what may be frames
    ogg = VALID["vorbis-pages"]
    last = ogg.rindex(b"OggS")
    long = ogg[: last + 6] + (MAX_FRAMES).to_bytes(8, "little") + ogg[last + 14 :]
    assert estimate(long) > 1
    assert estimate(long + b"OggS" + bytes(23)) > 1  # what follows does not make it shorter
    assert estimate(bytes(1000)) < 1e-4
