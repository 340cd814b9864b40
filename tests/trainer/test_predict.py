"""`augsvc-train predict` on the files of the world: hostile, damaged and odd ones cost a line each, not the run."""

import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from typer.testing import CliRunner

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import Undecodable
from augsvc_client.decoding.resampling import fit_clip
from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.export.card import Card, load_model, save_model
from augsvc_client.trainer.export.predict import list_files, load_clip, predict_files, prepare_image
from augsvc_client.trainer.models.build import Inputs, build_model
from augsvc_client.trainer.recipe import ModelChoice

CLASSES = ("cat", "[bold]dog[/]")


def save_network(folder, inputs, fit="cover"):
    choice = ModelChoice(width=0.1)
    folder.mkdir(exist_ok=True)
    save_model(
        build_model(choice, inputs, len(CLASSES), seed=0), Card(choice, inputs, CLASSES, (-1.0, 1.0), fit), folder
    )
    return folder


@pytest.fixture
def images(tmp_path):
    return save_network(tmp_path / "images", Inputs(3, (32, 32)), "contain")


@pytest.fixture
def clips(tmp_path):
    return save_network(tmp_path / "clips", Inputs(rate=8000, length=8000))


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "world"
    folder.mkdir()
    return folder


def test_a_network_of_a_dataset_with_a_window_reads_numbers_through_it(tmp_path, world):
    inputs = Inputs(1, (8, 200), window=(1000.0, 1200.0))
    model, card = load_model(save_network(tmp_path / "scans", inputs, "stretch"))
    ramp = np.tile(1000 + np.arange(200), (8, 1))
    for name, dtype in (("a.png", np.uint16), ("b.tif", np.float32), ("c.tiff", np.int32)):
        Image.fromarray(ramp.astype(dtype)).save(world / name)
    assert [file.name for file in list_files(world, card)] == ["a.png", "b.tif", "c.tiff"]
    predictions = list(predict_files(model, card, list_files(world, card)))
    assert not any(prediction.error for prediction in predictions)
    with torch.inference_mode():
        pixels = torch.from_numpy(np.rint((ramp - 1000) / 200 * 255).astype(np.float32))[None, None] / 127.5 - 1
        probability = model(pixels).softmax(dim=1).max().item()
    for prediction in predictions:
        assert prediction.classes[0][1] == pytest.approx(probability, abs=1e-5)


def predict(network, path):
    """The listed files by name."""
    listed = path.parent / "listed.json"
    result = CliRunner().invoke(app, ["predict", str(network), str(path), "--json", str(listed)])
    assert result.exit_code == 0, result.output
    strict = json.loads(listed.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return {Path(entry["file"]).name: entry for entry in strict}


def png(width, height, rows=None):
    """A grey PNG of two levels, black unless `rows` says otherwise."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = zlib.compress(bytes(height * (1 + (width + 7) // 8)) if rows is None else rows, 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


THIN = """
import resource, sys
from pathlib import Path
import torch
from augsvc_client.trainer.export.card import load_model
from augsvc_client.trainer.export.predict import predict_files

networks = [load_model(Path(path)) for path in sys.argv[2:]]
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), -1))
files = sorted(Path(sys.argv[1]).iterdir())
print([prediction.error for model, card in networks for prediction in predict_files(model, card, files)])
"""


def test_a_thin_image_costs_what_its_pixels_cost(world, tmp_path):
    """Within 2 GiB, the libraries apart, where padding to the canvas took 10.8 GB."""
    networks = [save_network(tmp_path / fit, Inputs(3, (32, 32)), fit) for fit in ("contain", "cover", "stretch")]
    for size in ((60_000, 1), (1, 60_000), (20_000_000, 2), (1, 10_000_000)):
        (world / f"{size}.png").write_bytes(png(*size))
    command = [sys.executable, "-W", "ignore", "-c", THIN, world, *networks]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([""] * 12)


def test_a_run_in_which_no_file_has_a_class_fails(images, world):
    listed = world.parent / "listed.json"
    command = ["predict", str(images), str(world), "--json", str(listed)]
    (world / "empty.png").touch()
    (world / "sound.jpg").write_bytes(b"RIFF" + bytes(40))
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1 and "cannot be read" in " ".join(result.output.split())
    assert all(entry["error"] and not entry["classes"] for entry in json.loads(listed.read_text()))
    (world / "good.png").write_bytes(png(8, 8))
    assert CliRunner().invoke(app, command).exit_code == 0


def test_an_image_too_large_for_the_service_is_too_large_here(images, world):
    (world / "bomb.png").write_bytes(png(30_000, 30_000, bytes(10)))
    (world / "good.png").write_bytes(png(30, 30))
    listed = predict(images, world)
    assert "more pixels" in listed["bomb.png"]["error"]
    assert listed["good.png"]["error"] is None


@pytest.mark.parametrize(
    ("size", "canvas"), [((100, 63), (32, 32)), ((63, 100), (32, 32)), ((9, 7), (24, 64))], ids=str
)
def test_the_border_of_contain_is_as_wide_as_black_padding_makes_it(size, canvas):
    """Against padding the image itself, as far as that is possible."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    card = Card(ModelChoice(), Inputs(3, canvas), CLASSES, (0.0, 255.0), "contain")
    scale = min(canvas[1] / size[0], canvas[0] / size[1])
    visible = (canvas[1] / scale, canvas[0] / scale)
    border = [int(np.ceil((far - side) / 2 - 1e-6)) for far, side in zip(visible, size, strict=True)]
    padded = Image.fromarray(np.pad(pixels, ((border[1],) * 2, (border[0],) * 2, (0, 0))))
    left, top = ((side - far) / 2 for side, far in zip(padded.size, visible, strict=True))
    box = (max(0.0, left), max(0.0, top), padded.width - max(0.0, left), padded.height - max(0.0, top))
    expected = np.asarray(padded.resize((canvas[1], canvas[0]), Image.Resampling.BILINEAR, box=box), np.float32)
    result = prepare_image(Image.fromarray(pixels), card).transpose(1, 2, 0)
    assert np.abs(result - expected).max() <= 1.0


def sound(samples, suffix=".wav", **options):
    file = io.BytesIO()
    soundfile.write(
        file, samples, 8000, format={".wav": "WAV", ".flac": "FLAC", ".mp3": "MP3"}.get(suffix, "OGG"), **options
    )
    return file.getvalue()


def test_sounds_without_a_value_get_no_class(clips, world):
    wave = np.sin(np.arange(8000) * 0.05) * 0.5
    holed = wave.copy()
    holed[100] = np.nan
    whole, ogg, mp3 = sound(wave), sound(wave, ".ogg", subtype="VORBIS"), sound(wave, ".mp3")
    files = {
        "nan.wav": sound(holed, subtype="FLOAT"),
        "infinite.wav": sound(np.where(np.isnan(holed), np.inf, holed), subtype="FLOAT"),
        "loud.wav": sound(wave * 1e30, subtype="FLOAT"),
        "cut.wav": whole[:-100],
        "cut.ogg": ogg[:-100],
        "empty.wav": sound(wave[:0]),
        "nothing.flac": b"",
        "good.wav": whole,
        "good.flac": sound(wave, ".flac"),
        "good.oga": ogg,
        "good.opus": sound(wave, ".opus", subtype="OPUS"),
        "good.mp3": mp3,
        "cut.mp3": mp3[:-100],
    }
    for name, data in files.items():
        (world / name).write_bytes(data)
    listed = predict(clips, world)
    assert listed.keys() == files.keys()
    assert {name for name, entry in listed.items() if entry["error"] is None} == {n for n in files if "good" in n}
    assert all("cannot be read as audio: " in entry["error"] for entry in listed.values() if entry["error"])


def test_a_folder_of_one_suffix_that_the_service_serves_is_not_empty(clips, images, world):
    (world / "a.opus").write_bytes(sound(np.zeros(8000), ".opus", subtype="OPUS"))
    assert predict(clips, world)["a.opus"]["error"] is None


def shared_files(folder):
    """Files on which two decoders could differ: odd forms, and damages of each format."""
    generator = np.random.default_rng(1)
    grey = generator.integers(0, 256, (24, 31), dtype=np.uint8)
    colour = generator.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    forms = {
        "grey.png": Image.fromarray(grey), "grey16.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "colour.png": Image.fromarray(colour), "alpha.png": Image.fromarray(colour).convert("RGBA"),
        "palette.png": Image.fromarray(colour).quantize(16), "colour.jpg": Image.fromarray(colour),
        "cmyk.jpg": Image.fromarray(colour).convert("CMYK"), "colour.webp": Image.fromarray(colour),
    }  # fmt: skip
    turned = Image.Exif()
    turned[0x0112] = 6
    for name, image in forms.items():
        image.save(folder / name)
    forms["colour.jpg"].save(folder / "turned.jpg", exif=turned)
    for path in list(folder.iterdir()):
        data = bytearray(path.read_bytes())
        path.with_stem(f"{path.stem}-cut").write_bytes(data[: len(data) // 2])
        for position in generator.integers(12, len(data), 3):
            data[position] ^= 0xFF
        path.with_stem(f"{path.stem}-damaged").write_bytes(data)
    (folder / "gif.png").write_bytes(b"GIF89a" + bytes(40))


def test_predict_sees_what_the_service_serves(world, tmp_path):
    (world / "a").mkdir()
    shared_files(world / "a")
    settings = ImageFolderSettings(format="image_folder", path=world)
    (source,) = open_image_folder("world", settings, DecodedCache(0))
    network = save_network(tmp_path / "net", Inputs(3, (32, 32)))
    model, card = load_model(network)
    served = 0
    for index in range(len(source)):
        path = world / source.describe(index)
        (prediction,) = predict_files(model, card, [path])
        try:
            image = source.read(index).image
        except Undecodable as err:
            assert prediction.error == f"cannot be read as an image: {err}", path
            continue
        inputs = torch.from_numpy(prepare_image(Image.fromarray(image), card))
        with torch.inference_mode():
            expected = model(inputs[None]).softmax(1)[0]
        assert [dict(prediction.classes)[name] for name in CLASSES] == pytest.approx(expected.tolist()), path
        served += 1
    assert 9 <= served < len(source)


def test_a_clip_has_the_samples_of_the_service(world):
    (world / "a").mkdir()
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2))
    soundfile.write(world / "a" / "b.wav", wave, 44_100, subtype="FLOAT")
    (source,) = open_audio_folder("world", AudioFolderSettings(format="audio_folder", path=world), DecodedCache(0))
    sample = source.read(0)
    for length in (4000, 9000):
        expected = fit_clip(sample.audio, sample.rate, length, 16_000)
        np.testing.assert_array_equal(load_clip(world / "a" / "b.wav", 16_000, length), expected)


def test_names_are_shown_without_control_characters(images, world):
    names = [
        "\x1b[31mred.png",
        "[bold]b.png",
        os.fsdecode(b"latin-\xe9.png"),
        "line\nbreak.png",
        "reversed-\u202egnp.png",
    ]
    for name in names:
        (world / name).write_bytes(png(8, 8))
    (world / ".hidden.png").write_bytes(png(8, 8))
    listed = world.parent / "listed.json"
    result = CliRunner().invoke(
        app, ["predict", str(images), str(world), "--json", str(listed)], env={"COLUMNS": "300"}
    )
    assert result.exit_code == 0, result.output
    assert not any(character in result.output for character in "\x1b\u202e")
    shown = "".join(result.output.split())
    for text in (r"\x1b[31mred.png", "[bold]b.png", r"latin-\udce9.png", r"line\nbreak.png", "[bold]dog[/]"):
        assert text in shown, result.output
    assert sorted(Path(entry["file"]).name for entry in json.loads(listed.read_text())) == sorted(names)


def test_what_is_no_regular_file_costs_a_line(images, world):
    os.mkfifo(world / "pipe.png")
    (world / "gone.png").symlink_to(world / "nowhere")
    (world / "good.png").write_bytes(png(8, 8))
    (world / "huge.png").touch()
    os.truncate(world / "huge.png", (64 << 20) + 1)
    listed = predict(images, world)
    assert listed["good.png"]["error"] is None
    assert "larger than" in listed["huge.png"]["error"]
    assert "not a regular file" in listed["pipe.png"]["error"]
    assert "No such file or directory" in listed["gone.png"]["error"]
    result = CliRunner().invoke(app, ["predict", str(images), str(world / "pipe.png")])
    assert result.exit_code == 2
    assert "neither a file nor a folder" in " ".join(result.output.split())


def test_a_folder_that_may_not_be_read_costs_a_line(images, world, monkeypatch):
    (world / "locked").mkdir()
    (world / "good.png").write_bytes(png(8, 8))
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read every folder
    listed = predict(images, world)
    assert listed["good.png"]["error"] is None
    assert listed["locked"]["error"] == "cannot be read as an image: Permission denied"


def test_an_input_that_overflows_the_network_gets_no_class(images, world):
    model, card = load_model(images)
    with torch.no_grad():
        model.head.weight.fill_(3e38)
    (world / "a.png").write_bytes(png(8, 8))
    (prediction,) = predict_files(model, card, [world / "a.png"])
    assert prediction.classes == ()
    assert "not finite" in prediction.error


def edit_card(**fields):
    def damage(folder):
        card = json.loads((folder / "model.json").read_text())
        for name, value in fields.items():
            group, _, key = name.rpartition("__")
            (card[group] if group else card)[key] = value
        (folder / "model.json").write_text(json.dumps(card))

    return damage


def spoil_weights(folder):
    model, card = load_model(folder)
    with torch.no_grad():
        model.head.bias.fill_(float("nan"))
    save_model(model, card, folder)


def write_card(data):
    return lambda folder: (folder / "model.json").write_bytes(data)


DAMAGES = {
    "deeply nested": write_card(b"[" * 200_000),
    "not UTF-8": write_card(b"\xff\xfe{}"),
    "a list": write_card(b"[]"),
    "a long number": write_card(b'{"version": ' + b"9" * 5000 + b"}"),
    "large": lambda folder: os.truncate(folder / "model.json", 1 << 33),
    "a folder": lambda folder: ((folder / "model.json").unlink(), (folder / "model.json").mkdir()),
    "a pipe": lambda folder: ((folder / "model.json").unlink(), os.mkfifo(folder / "model.json")),
    "no classes": edit_card(classes=[]),
    "classes as text": edit_card(classes="ab"),
    "repeated classes": edit_card(classes=["a", "a"]),
    "numbered classes": edit_card(classes=[1, 2]),
    "more classes": edit_card(classes=["a", "b", "c"]),
    "many classes": edit_card(classes=[str(i) for i in range(400_000)], model__width=64),
    "a wide network": edit_card(model__width=64),
    "a nan": edit_card(scale=[float("nan"), 1.0]),
    "a huge range": edit_card(scale=[0, 1e999]),
    "a huge canvas": edit_card(inputs__size=[1 << 30, 1 << 30]),
    "no canvas": edit_card(inputs__size=None),
    "text as canvas": edit_card(inputs__size="32x"),
    "17 channels": edit_card(inputs__channels=17),
    "a huge rate": edit_card(inputs__rate=1 << 40, inputs__length=8, inputs__size=None),
    "a long clip": edit_card(inputs__rate=8000, inputs__length=1 << 50, inputs__size=None),
    "an unknown fit": edit_card(fit="melt"),
    "an unknown network": edit_card(model__name="\x1b[31m"),
    "an unknown field": edit_card(model__wings=2),
    "another version": edit_card(version=2),
    "weights without a value": spoil_weights,
    "weights as a folder": lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "cut weights": lambda folder: os.truncate(folder / "model.safetensors", 3000),
    "weights with a huge header": lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 7 + b"\x7f" + bytes(99)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_network_is_one_line(images, world, damage):
    (world / "a.png").write_bytes(png(8, 8))
    damage(images)
    result = CliRunner().invoke(app, ["predict", str(images), str(world)], terminal_width=10_000)
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    line = result.output.strip()
    assert line and "\n" not in line and "\x1b" not in line
    assert "model.json" in line or "model.safetensors" in line
    assert len(line) < 400
    assert not re.search(r"Input should|Extra inputs|Expecting|codec|int_max_str|valid string|Errno", line)


def test_the_json_file_is_checked_before_the_work(images, world):
    (world / "a.png").write_bytes(png(8, 8))
    result = CliRunner().invoke(app, ["predict", str(images), str(world), "--json", str(world / "no" / "out.json")])
    assert result.exit_code == 2
    assert "is not a folder" in " ".join(result.output.split())


def test_predict_on_a_full_disk_ends_with_one_line_and_keeps_the_earlier_file(images, world, refused):
    for i in range(30):
        (world / f"{i}.png").write_bytes(png(8, 8))
    out = world.parent / "out.json"
    out.write_text("earlier")
    error = refused("predict", images, world, "--json", out, file_bytes=1000)
    assert "out.json" in error and "File too large" in error
    assert error.strip().count("\n") == 0
    assert out.read_text() == "earlier"
    assert not list(world.parent.glob("*.new"))


def test_leftovers_are_not_listed(tmp_path, world):
    _, card = load_model(save_network(tmp_path / "plain", Inputs(3, (8, 8)), "cover"))
    for name in ("a.png", "@eaDir/b.png", "__MACOSX/c.png", "lost+found/d.png", "in/.e.png", "in/f.png"):
        (world / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(world / name)
    assert [file.name for file in list_files(world, card)] == ["a.png", "f.png"]
