"""A folder of sounds, served: files of many kinds and rates, and what cannot be decoded among them."""

import numpy as np
import pytest

from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.resampling import fit_clip
from tests.data.sounds import VALID, encode, float_wav, wav, waves
from tests.http.serving import command

FILES = {
    "a/0.wav": encode(waves(30_000), "WAV", "PCM_24", 44_100),
    "a/1.flac": encode(waves(20_000, 2), "FLAC", "PCM_16", 48_000),
    "a/2.ogg": VALID["vorbis-pages"],
    "a/3.wav": VALID["wav-16"][:-1],  # cut short by one byte
    "a/4.ogg": VALID["wav-float"],  # mislabelled
    "a/5.wav": b"\x89PNG\r\n\x1a\n" + bytes(60),
    "b/0.wav": float_wav(0.25),  # one sample
    "b/1.wav": wav(bytes(20_000), rate=8_000),  # silence
    "b/2.wav": wav(b""),
    "b/3.wav": float_wav(0.0, np.nan),
    "b/4.opus": VALID["opus"],
    "b/5.mp3": VALID["mp3-mpeg-1"],
}
SPOILT = {3: 4, 5: 6, 8: 10, 9: 10}  # which sample stands in
SPEC = {"dataset": "calls", "seconds": 0.5, "sample_rate": 16_000, "shuffle": False}
CLIP = 8_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("sounds") / "calls"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="module")
def sounds(serve, folder, tmp_path_factory):
    noises = tmp_path_factory.mktemp("noises")
    for name, content in (("0.wav", encode(waves(3000), "WAV", "PCM_16", 44_100)), ("1.wav", VALID["wav-16"][:-1])):
        (noises / "hum").mkdir(exist_ok=True)
        (noises / "hum" / name).write_bytes(content)
    paths = {"calls": folder, "noises": noises}
    return serve(datasets={name: {"format": "audio_folder", "path": str(path)} for name, path in paths.items()}).ready()


def test_a_batch_is_what_the_files_hold_at_the_streams_rate(sounds):
    arrays = sounds.batch(sounds.open(SPEC), 0, 0, 12).arrays
    assert arrays["index"].tolist() == list(range(12))
    assert arrays["valid"].tolist() == [index not in SPOILT for index in range(12)]
    contents = list(FILES.values())
    for row in range(12):
        place = SPOILT.get(row, row)
        audio, rate = decode_sound(contents[place], 1 << 20)
        np.testing.assert_allclose(arrays["audio"][row], fit_clip(audio, rate, CLIP, 16_000), atol=1e-6)
        assert arrays["label"][row] == place // 6


def test_batches_of_one_are_the_batch(sounds):
    stream = sounds.open({**SPEC, "shuffle": True, "pipeline": "sound"})
    whole = sounds.batch(stream, 2, 0, 12).arrays
    ones = [sounds.batch(stream, 2, position, 1).arrays for position in range(12)]
    for name, tensor in whole.items():
        assert np.array_equal(tensor, np.concatenate([one[name] for one in ones]))
    assert set(whole["index"][~whole["valid"]].tolist()) == set(SPOILT)


def test_the_receipt_names_what_stands_in(sounds):
    stream = sounds.open(SPEC)
    receipt = sounds.get(f"/v1/streams/{stream['id']}/epochs/0/samples/3").json
    assert (receipt["source"], receipt["replaced_by"]) == ("a/3.wav", {"index": 4, "source": "a/4.ogg"})


def test_clips_of_many_lengths_need_the_streams_own(sounds):
    for missing in ("seconds", "sample_rate"):
        reply = sounds.post({name: value for name, value in SPEC.items() if name != missing})
        assert reply.status == 422 and missing in reply.json["error"]["message"]


def test_the_catalog_says_that_it_is_sound(sounds):
    found = {entry["name"]: entry for entry in sounds.get("/v1/datasets").json["datasets"]}
    assert (found["calls"]["media"], found["calls"]["samples"], found["calls"]["classes"]) == ("audio", 12, ["a", "b"])
    assert found["tones/train"]["media"] == "audio"


def test_check_names_what_cannot_be_decoded(folder, tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text(f"datasets: {{calls: {{format: audio_folder, path: '{folder}'}}}}", encoding="utf-8")
    done = command("check", "--config", config, cwd=tmp_path)
    assert done.returncode == 0, done
    assert "ok calls: 12 of 12 samples checked" in done.stdout
    for name in ("a/3.wav", "a/5.wav", "b/2.wav", "b/3.wav"):
        assert f"undecodable {name}" in done.stdout


def test_noise_of_another_folder_at_another_rate(sounds):
    """One of its files is cut: the other one stands in."""
    step = {"op": "background_noise", "dataset": "noises", "snr": 10}
    stream = sounds.open({**SPEC, "pipeline": [step]})
    plain, noisy = (sounds.batch(opened, 0, 0, 8).arrays for opened in (sounds.open(SPEC), stream))
    for row in range(8):
        if not plain["audio"][row].any():
            assert noisy["audio"][row].tobytes() == plain["audio"][row].tobytes()
            continue
        added = noisy["audio"][row] - plain["audio"][row]
        sounding = np.flatnonzero(noisy["audio"][row])
        ratio = np.sum(plain["audio"][row, : sounding[-1] + 1] ** 2) / np.sum(added**2)
        assert abs(10 * np.log10(ratio) - 10) < 0.1
        receipt = sounds.get(f"/v1/streams/{stream['id']}/epochs/0/samples/{row}").json
        (partner,) = receipt["partners"]
        assert (partner["id"], partner["dataset"], partner["source"]) == ("background_noise", "noises", "hum/0.wav")


@pytest.mark.parametrize(("named", "code"), [("noise", "unknown_dataset"), ("digits/train", "spec_invalid")])
def test_a_dataset_that_has_no_noise_is_refused_by_the_field(sounds, named, code):
    reply = sounds.post({**SPEC, "pipeline": [{"op": "gain"}, {"op": "background_noise", "dataset": named}]})
    assert (reply.json["error"]["code"], reply.json["error"]["field"]) == (code, "pipeline.1.dataset")
