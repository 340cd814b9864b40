"""Folders of real sound files: what is indexed, what each becomes. What all folders share: test_image_folder.py."""

import shutil
import threading

import numpy as np
import pytest
from pydantic import ValidationError

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.data.formats.files import PAUSES_S
from augsvc.errors import DatasetChanged, Undecodable
from tests.data.sounds import VALID, encode, float_wav, wav, waves


def quantised(frames, channels=1, seed=0):
    return np.round(waves(frames, channels, seed).astype(np.float64) * 2**15) / 2**15


STEREO, DEEP, CLICK = quantised(500, 2), quantised(300, seed=1), quantised(700, seed=2)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "calls"
    for name, content in {
        "owl/b.wav": encode(STEREO, "WAV", "PCM_16", 44_100),
        "owl/a.OGG": VALID["vorbis"],
        "frog/deep/er.flac": encode(DEEP, "FLAC", "PCM_16", 8_000),
        "frog/z.Wav": encode(CLICK, "WAV", "PCM_16"),
        "frog/cover.png": b"not a sound",
        "readme.wav": b"not in a class",
        ".hidden/x.wav": b"",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "empty").mkdir()
    return root


def settings(path, **options):
    return AudioFolderSettings(format="audio_folder", path=path, **options)


def opened(root, cache_bytes=0, pause=lambda _: None, **options):
    return open_audio_folder("calls", settings(root, **options), DecodedCache(cache_bytes), pause)


def test_names_classes_labels_rates_and_waveforms(root):
    (source,) = opened(root)
    assert [source.describe(index) for index in range(len(source))] == [
        "frog/deep/er.flac",
        "frog/z.Wav",
        "owl/a.OGG",
        "owl/b.wav",
    ]
    info = source.info
    assert (info.name, info.media, info.channels, info.size) == ("calls", "audio", 1, None)
    assert (info.seconds, info.sample_rate) == (None, None)
    assert info.classes == ("empty", "frog", "owl")
    assert info.decoders == ("aiff", "flac", "mp3", "opus", "vorbis", "wav")
    assert source.labels().tolist() == [1, 1, 2, 2] and source.labels().dtype == np.int64
    for index, expected, rate in ((0, DEEP, 8_000), (1, CLICK, 16_000), (3, STEREO, 44_100)):
        sample = source.read(index)
        assert sample.image is None and sample.rate == rate and sample.label == source.labels()[index]
        np.testing.assert_allclose(sample.audio, expected.mean(axis=1), atol=1e-7)
        assert sample.audio.dtype == np.float32 and not sample.audio.flags.writeable
    assert len(source.read(2).audio) == 3000


def test_train_and_test_are_two_datasets(root, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(root, both / "train")
    shutil.copytree(root, both / "test")
    (both / "test" / "owl" / "b.wav").unlink()
    train, test = opened(both)
    assert (train.info.name, test.info.name) == ("calls/train", "calls/test")
    assert (len(train), len(test)) == (4, 3)
    (both / "test" / "empty").rmdir()
    with pytest.raises(ValueError, match="different classes in train and test"):
        opened(both)


@pytest.mark.parametrize(
    ("prepare", "cure"),
    [
        (lambda root: shutil.rmtree(root), r"is not a directory \(`path`\)"),
        (
            lambda root: [shutil.rmtree(entry) for entry in root.iterdir() if entry.is_dir()],
            "put the audio files of each",
        ),
        (
            lambda root: [shutil.rmtree(root / label) for label in ("owl", "frog")],
            r"no audio files.*\.flac, \.mp3, \.oga, \.ogg",
        ),
    ],
)
def test_nothing_to_serve_is_said_with_its_cure(root, prepare, cure):
    prepare(root)
    with pytest.raises(ValueError, match=cure):
        opened(root)


def test_links_out_are_refused(root, tmp_path):
    (tmp_path / "secret.wav").write_bytes(VALID["wav-16"])
    (root / "owl" / "c.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(ValueError, match="link"):
        opened(root)


def test_a_mislabelled_file_is_decoded_by_its_content_or_undecodable(root):
    (root / "owl" / "a.OGG").write_bytes(VALID["wav-float"])
    (root / "frog" / "z.Wav").write_bytes(VALID["mp3"])
    (root / "owl" / "b.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(90))
    (source,) = opened(root)
    np.testing.assert_allclose(source.read(2).audio, waves(900, 2).mean(axis=1), atol=1e-7)
    assert len(source.read(1).audio) == 3000
    with pytest.raises(Undecodable, match="no WAV, AIFF, FLAC, OGG or MP3"):
        source.read(3)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", VALID["wav-16"][:-1], VALID["flac-16"][:-1], VALID["vorbis"][:-1], wav(b""), float_wav(np.nan)],
)
def test_what_is_no_sound_is_undecodable(root, content):
    (root / "owl" / "b.wav").write_bytes(content)
    (source,) = opened(root)
    for _ in range(2):
        with pytest.raises(Undecodable) as caught:
            source.read(3)
        assert str(root) not in str(caught.value) and "b.wav" not in str(caught.value)


def test_limits_of_frames_and_bytes(root):
    (source,) = opened(root, max_frames=500)
    assert len(source.read(3).audio) == 500
    (source,) = opened(root, max_frames=499)
    with pytest.raises(Undecodable, match="more samples"):
        source.read(3)
    n_bytes = (root / "owl" / "b.wav").stat().st_size
    assert opened(root, max_file_bytes=n_bytes)[0].read(3).label == 2
    with pytest.raises(Undecodable, match="larger"):
        opened(root, max_file_bytes=n_bytes - 1)[0].read(3)


def test_a_missing_file_is_tried_three_times_and_a_changed_one_once(root):
    pauses = []
    (source,) = opened(root, pause=pauses.append)
    (root / "owl" / "b.wav").unlink()
    with pytest.raises(DatasetChanged, match=r"sample 3 of 'calls' changed .* is missing"):
        source.read(3)
    assert pauses == list(PAUSES_S)
    (root / "owl" / "b.wav").write_bytes(VALID["wav-8"])
    with pytest.raises(DatasetChanged, match="restart the server"):
        source.read(3)
    assert pauses == list(PAUSES_S)


def version(root, **options):
    return opened(root, **options)[0].info.version


def test_the_version_is_of_names_sizes_classes_and_settings(root):
    file = root / "owl" / "b.wav"
    content = file.read_bytes()
    options = [{}, {"max_frames": 100}, {"max_file_bytes": 1000}, {"digest_contents": True}]
    versions = {version(root, **option) for option in options}
    file.write_bytes(content[:-1] + b"\x55")
    assert version(root) in versions and version(root, digest_contents=True) not in versions
    file.write_bytes(content + b"x")
    versions.add(version(root))
    file.rename(file.with_name("bb.wav"))
    versions.add(version(root))
    assert len(versions) == len(options) + 2


def test_clips_are_cached_within_the_bound(root):
    (source,) = opened(root, cache_bytes=500 * 4)
    first = source.read(3)
    (root / "owl" / "b.wav").unlink()
    assert source.read(3) is first
    source.read(0)  # takes its place
    with pytest.raises(DatasetChanged):
        source.read(3)


def test_threads_read_the_same(root):
    (source,) = opened(root, cache_bytes=5000)
    expected = [source.read(index).audio.tobytes() for index in range(4)]
    wrong = []

    def work():
        for step in range(100):
            if source.read(step % 4).audio.tobytes() != expected[step % 4]:
                wrong.append(step)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("field", [{"max_frames": 0}, {"max_frames": 2**31}, {"max_file_bytes": 0}, {"channels": 0}])
def test_settings_are_checked_and_frozen(tmp_path, field):
    with pytest.raises(ValidationError):
        settings(tmp_path, **field)
    with pytest.raises(ValidationError):
        settings(tmp_path).max_frames = 1
