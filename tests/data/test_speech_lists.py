"""Speech Commands' layout and Kaldi's data folders: labels, splits, keys, intervals, and lists that are damaged."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pydantic import TypeAdapter

from augsvc.cli.datasets import find_splits
from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import open_catalog
from augsvc.data.formats.format import DatasetSettings
from augsvc.data.formats.kaldi import KaldiSettings
from augsvc.data.formats.speech_commands import SpeechCommandsSettings
from augsvc.errors import Undecodable
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.wire import parse
from tests.data.sounds import RATE, encode, waves
from tests.harness import open_cpu

CLIPS = {
    name: waves(400 + 100 * k, seed=k) for k, name in enumerate(["no/a.wav", "no/b.wav", "yes/a.wav", "yes/c.wav"])
}
RECORDING = waves(3 * RATE, seed=9)


def write(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        path.write_bytes(encode(content, "WAV", "FLOAT"))


@pytest.fixture
def commands(tmp_path):
    for name, clip in CLIPS.items():
        write(tmp_path, name, clip)
    write(tmp_path, "_background_noise_/hum.wav", waves(5000))
    write(tmp_path, "validation_list.txt", "no/b.wav\n")
    write(tmp_path, "testing_list.txt", "yes/a.wav\r\n\n")
    return tmp_path


def open_commands(root, **options):
    return SpeechCommandsSettings(format="speech_commands", path=root, **options).open("words", DecodedCache(0))


def test_words_are_classes_and_lists_are_splits(commands):
    sources = {source.info.name: source for source in open_commands(commands)}
    assert list(sources) == ["words/train", "words/val", "words/test", "words/noise"]
    files = {name: [source.describe(k) for k in range(len(source))] for name, source in sources.items()}
    assert files == {
        "words/train": ["no/a.wav", "yes/c.wav"],
        "words/val": ["no/b.wav"],
        "words/test": ["yes/a.wav"],
        "words/noise": ["_background_noise_/hum.wav"],
    }
    assert all(source.info.classes == ("no", "yes") and source.info.media == "audio" for source in sources.values())
    assert [source.labels().tolist() for source in sources.values()] == [[0, 1], [0], [1], [-1]]
    np.testing.assert_array_equal(sources["words/val"].read(0).audio, CLIPS["no/b.wav"][:, 0])


def test_the_version_is_of_the_lists(commands):
    before = {source.info.name: source.info.version for source in open_commands(commands)}
    assert before == {source.info.name: source.info.version for source in open_commands(commands)}
    write(commands, "validation_list.txt", "no/b.wav\nno/a.wav\n")
    after = {source.info.name: source.info.version for source in open_commands(commands)}
    assert {name for name in before if before[name] != after[name]} == {"words/train", "words/val"}


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("validation_list.txt", "no/z.wav\n", "names 1 files that are missing: no/z.wav"),
        ("validation_list.txt", "../a.wav\n", "below the dataset's folder"),
        ("validation_list.txt", "no/a.wav\nno/a.wav\n", "names twice no/a.wav"),
        ("testing_list.txt", "no/b.wav\n", "in validation_list.txt and testing_list.txt: no/b.wav"),
    ],
)
def test_lists_that_are_wrong_are_refused(commands, file, text, reason):
    write(commands, file, text)
    with pytest.raises(ValueError, match="dataset 'words'") as refused:
        open_commands(commands)
    assert reason in str(refused.value)


def test_names_of_a_list_may_have_unusual_separators(commands):
    write(commands, "no/d\u2028e.wav", CLIPS["no/b.wav"])
    write(commands, "validation_list.txt", "no/d\u2028e.wav\r\nno/b.wav")
    val = next(source for source in open_commands(commands) if source.info.name == "words/val")
    assert [val.describe(k) for k in range(2)] == ["no/b.wav", "no/d\u2028e.wav"]


def test_without_lists_it_is_a_folder_of_classes(commands):
    (commands / "validation_list.txt").unlink()
    (commands / "testing_list.txt").unlink()
    with pytest.raises(ValueError, match="use the format audio_folder"):
        open_commands(commands)


@pytest.fixture
def kaldi(tmp_path):
    for name in ("rec1.wav", "deep/rec2.wav"):
        write(tmp_path, f"audio/{name}", RECORDING)
    write(tmp_path, "data/train/wav.scp", f"u1 audio/rec1.wav\nu2 {tmp_path}/audio/deep/rec2.wav\n")
    write(tmp_path, "data/train/text", "u2 zwei Wörter\nu1 one\n")
    write(tmp_path, "data/train/utt2spk", "u1 anna\nu2 bert\n")
    write(tmp_path, "data/dev/wav.scp", "r1 audio/rec1.wav\n")
    write(tmp_path, "data/dev/segments", "s2 r1 0.5 1.25\ns1 r1 0 0.5\n")
    write(tmp_path, "data/dev/text", "s1\ns2 later\n")
    write(tmp_path, "data/dev/utt2spk", "s1 bert\ns2 bert\n")
    return tmp_path


def open_kaldi(root, **options):
    return KaldiSettings(format="kaldi", path=root, **options).open("speech", DecodedCache(0))


def test_transcripts_are_labels_and_segments_are_clips(kaldi):
    train, val = open_kaldi(kaldi)
    assert [source.info.name for source in (train, val)] == ["speech/train", "speech/val"]
    assert train.info.label_kind == "text"
    texts = [bytes(train.read(k).target).rstrip(b"\0").decode() for k in range(2)]
    assert texts == ["one", "zwei Wörter"] and [train.describe(k) for k in range(2)] == ["u1", "u2"]
    assert [val.describe(k) for k in range(2)] == ["s1", "s2"]
    clip = val.read(1)
    np.testing.assert_array_equal(clip.audio, RECORDING[RATE // 2 : RATE * 5 // 4, 0])
    assert bytes(clip.target) == b"later" and not val.read(0).target.any()


def test_speakers_are_classes_of_all_splits(kaldi):
    train, val = open_kaldi(kaldi, label="speaker")
    assert train.info.classes == val.info.classes == ("anna", "bert")
    assert train.labels().tolist() == [0, 1] and val.labels().tolist() == [1, 1]
    (alone,) = open_kaldi(kaldi, data="data/train")
    (named,) = open_kaldi(kaldi, data={"train": "data/dev"})
    assert (alone.info.name, named.info.name) == ("speech", "speech/train")


def test_the_version_is_of_the_lists_and_not_of_the_place(kaldi, tmp_path_factory):
    before = [source.info.version for source in open_kaldi(kaldi)]
    moved = tmp_path_factory.mktemp("moved") / "kaldi"
    kaldi.rename(moved)
    scp = moved / "data/train/wav.scp"
    scp.write_text(scp.read_text().replace(str(kaldi), str(moved)))
    assert [source.info.version for source in open_kaldi(moved)] == before
    write(moved, "data/dev/text", "s1 x\ns2 later\n")
    after = [source.info.version for source in open_kaldi(moved)]
    assert after[0] == before[0] and after[1] != before[1]


def test_absolute_paths_may_lead_through_links_to_the_folder(kaldi, tmp_path_factory):
    before = [source.info.version for source in open_kaldi(kaldi)]
    link = tmp_path_factory.mktemp("links") / "data"
    link.symlink_to(kaldi)
    scp = kaldi / "data/train/wav.scp"
    scp.write_text(scp.read_text().replace(str(kaldi), str(link)))
    for root in (kaldi, link):
        assert [source.info.version for source in open_kaldi(root)] == before
    scp.write_text(f"u1 audio/rec1.wav\nu2 {link}/../rec2.wav\n")
    with pytest.raises(ValueError, match="below the dataset's folder"):
        open_kaldi(kaldi)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("train/wav.scp", "u1 data/a.ark:13\nu2 audio/rec1.wav\n", "train/wav.scp: u1: a place in an archive"),
        (
            "train/wav.scp",
            "u1 sox a.mp3 -t wav - |\nu2 audio/rec1.wav\n",
            "train/wav.scp: u1: a command, which is never run",
        ),
        ("train/wav.scp", "u1 /etc/passwd\nu2 audio/rec1.wav\n", "below the dataset's folder"),
        ("train/wav.scp", "u1 audio/none.wav\nu2 audio/rec1.wav\n", "1 of 2 files are missing"),
        ("train/text", "u1 one\nu1 two\nu2 three\n", "train/text: u1: has two lines"),
        ("train/text", "u1 one\n", "train/text: u2: has no line"),
        ("dev/segments", "s1 r1 1 1\ns2 r1 0 2\n", "dev/segments: s1: needs a recording, a beginning and a later end"),
        ("dev/segments", "s1 r1 nan 1\ns2 r1 0 2\n", "dev/segments: s1: needs"),
        ("dev/segments", "s1 r9 0 1\ns2 r1 0 2\n", "the recording 'r9' is not in wav.scp"),
    ],
)
def test_tables_that_are_wrong_are_refused(kaldi, file, text, reason):
    write(kaldi, f"data/{file}", text)
    with pytest.raises(ValueError, match="dataset 'speech'") as refused:
        open_kaldi(kaldi)
    assert reason in str(refused.value)


def test_a_segment_behind_the_end_is_undecodable(kaldi):
    write(kaldi, "data/dev/segments", "s1 r1 2.5 9\ns2 r1 3 4\n")
    _, val = open_kaldi(kaldi)
    assert len(val.read(0).audio) == RATE // 2
    with pytest.raises(Undecodable, match="ends before the interval"):
        val.read(1)


def test_paths_outside_of_the_folder_are_one_line_with_a_count(kaldi):
    paths = [f"utt{number:04} /corpora/other/{number}.wav" for number in range(2000)]
    write(kaldi, "data/train/wav.scp", "\n".join(paths) + "\n")
    with pytest.raises(ValueError) as refused:
        open_kaldi(kaldi)
    (line,) = (line for line in str(refused.value).split("\n") if "below the dataset's folder" in line)
    assert "train/wav.scp: utt0000 names" in line
    assert line.endswith("; likewise utt0001, utt0002 and 1,997 more")


def test_a_segment_keeps_no_recording_in_memory(kaldi):
    write(kaldi, "data/dev/segments", "s1 r1 0 0.5\ns2 r1 1 3\n")
    _, val = open_kaldi(kaldi)
    for index in range(2):
        audio = val.read(index).audio
        assert audio.base is None and not audio.flags.writeable


@pytest.mark.parametrize("container", ["WAV", "OGG", "MP3"])
def test_segments_are_cut_of_every_container_and_keep_channels(kaldi, container):
    coding = {"WAV": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}[container]
    stereo = np.stack([RECORDING[:, 0], RECORDING[::-1, 0]], axis=1)
    (kaldi / "audio" / "rec1.wav").write_bytes(encode(stereo, container, coding, RATE))
    whole, _ = decode_sound((kaldi / "audio" / "rec1.wav").read_bytes(), 10**6, 2)
    _, val = open_kaldi(kaldi, channels=2)
    np.testing.assert_array_equal(val.read(1).audio, whole[:, RATE // 2 : RATE * 5 // 4])
    assert val.info.channels == 2 and val.read(0).audio.base is None


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\x1d", "\x1e", "\r"])
def test_only_a_newline_ends_a_line(kaldi, separator):
    text = f"one{separator}two three"
    (kaldi / "data/train/text").write_bytes(f"u1 {text}\r\nu2 four".encode())
    train, _ = open_kaldi(kaldi)
    assert [bytes(train.read(k).target).rstrip(b"\0").decode() for k in range(2)] == [text, "four"]


def test_tabs_separate_fields_as_spaces_do(kaldi):
    before = [source.info.version for source in open_kaldi(kaldi)]
    for file in kaldi.glob("data/*/*"):
        lines = [line.replace(" ", "\t ", 1) for line in file.read_text(encoding="utf-8").split("\n")]
        file.write_text("\n".join(lines), encoding="utf-8")
    assert [source.info.version for source in open_kaldi(kaldi)] == before
    write(kaldi, "data/dev/segments", "s2\tr1\t0.5\t1.25\ns1\tr1\t0\t0.5\n")
    assert len(open_kaldi(kaldi)[1].read(1).audio) == RATE * 3 // 4


def test_a_no_break_space_is_part_of_a_key(kaldi):
    write(kaldi, "data/dev/wav.scp", "r\u00a01 audio/rec1.wav\n")
    write(kaldi, "data/dev/segments", "s\u00a01 r\u00a01 0 1\n")
    write(kaldi, "data/dev/text", "s\u00a01 \u3000one\ttwo \n")
    _, val = open_kaldi(kaldi)
    assert val.describe(0) == "s\u00a01" and bytes(val.read(0).target) == b"one\ttwo"


def test_buckets_of_files_and_of_intervals(kaldi):
    train, val = open_kaldi(kaldi)
    assert val.lengths().tolist() == [500_000, 750_000]  # microseconds
    assert train.lengths().tolist() == [(kaldi / "audio" / "rec1.wav").stat().st_size] * 2
    spec = {"dataset": "speech/val", "seconds": 1, "sample_rate": RATE, "bucket": 2, "pipeline": [{"op": "speed"}]}
    stream = Stream.open(validate_spec(spec), val, open_cpu("fused"))
    with ThreadPoolExecutor(1) as workers:
        whole = parse(stream.produce(0, 0, 2, 0, workers, lambda: None).buffer)[0]
        alone = parse(stream.produce(0, 1, 1, 0, workers, lambda: None).buffer)[0]
    texts = [bytes(text).rstrip(b"\0") for text in whole["label"]]
    assert sorted(texts) == [b"", b"later"] and sorted(whole["index"].tolist()) == [0, 1]
    assert all(alone[name].tobytes() == whole[name][1:].tobytes() for name in whole)


def test_check_looks_at_the_noises_too(commands):
    settings = {"format": "speech_commands", "path": str(commands)}
    catalog = open_catalog({"words": TypeAdapter(DatasetSettings).validate_python(settings)}, 0)
    assert [source.info.name for source in find_splits(catalog, "words")] == [
        "words/train", "words/val", "words/test", "words/noise"
    ]  # fmt: skip
