"""Settings from three places, and the commands that a person types."""

import json
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.cli.common import plain
from augsvc.cli.inspect import format_setting
from augsvc.cli.operations import format_schema
from augsvc.ops.recipes import RECIPES
from augsvc.ops.registry import registry
from augsvc.settings import Settings, load_settings
from tests.http.serving import command, spoil, write_image_folder

EMBEDDED = [f"{name}/{split}" for name in ("digits", "photos", "shapes") for split in ("test", "train")]


@pytest.fixture
def written(tmp_path):
    """Writes a settings file."""

    def write(content):
        path = tmp_path / "settings.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return path

    return write


# --- settings


def test_flags_weigh_more_than_variables_and_those_more_than_the_file(written, monkeypatch):
    path = written({"port": 1001, "cache_bytes": 11, "device": "cpu", "shutdown_timeout_s": 3})
    monkeypatch.setenv("AUGSVC_PORT", "1002")
    monkeypatch.setenv("AUGSVC_CACHE_BYTES", "12")
    settings = load_settings(path, {"port": 1003, "host": None})
    assert (settings.port, settings.cache_bytes, settings.shutdown_timeout_s) == (1003, 12, 3.0)
    assert (settings.device, settings.host) == ("cpu", "127.0.0.1")
    assert load_settings(path, {"port": None}).port == 1002
    assert load_settings(None, {}).cache_bytes == 12
    monkeypatch.delenv("AUGSVC_PORT")
    assert load_settings(path, {}).port == 1001
    assert load_settings(None, {}).port == 8000
    assert Settings().port == 8000  # nothing is read behind the caller's back


def test_datasets_may_come_from_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("AUGSVC_DATASETS", f'{{"pets": {{"format": "image_folder", "path": "{tmp_path}"}}}}')
    assert load_settings(None, {}).datasets["pets"].path == Path(tmp_path)
    monkeypatch.setenv("AUGSVC_DATASETS", "{")
    with pytest.raises(ValueError, match="datasets"):
        load_settings(None, {})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"prot": 8000}, "prot"),
        ({"allow_plain": True}, "^allow_plain is now allow_unauthenticated$"),
        ({"min_reader_bytes_per_s": 1}, "^min_reader_bytes_per_s is now min_client_bytes_per_s$"),
        ({"request_deadline_s": 1}, "^request_deadline_s is now request_timeout_s$"),
        ({"stop_grace_s": 1}, "^stop_grace_s is now shutdown_timeout_s$"),
        ({"read_ahead_bytes": 0}, "^read_ahead_bytes was removed"),
        ({"port": 70_000}, "port"),
        ({"port": "eight"}, "port"),
        ({"device": "gpu"}, "device"),
        ({"executor": "dali"}, "executor"),
        ({"cache_bytes": -1}, "cache_bytes"),
        ({"shutdown_timeout_s": float("inf")}, "shutdown_timeout_s"),
        ({"datasets": {"x": {"format": "image_folder"}}}, r"datasets\.x\.path"),
        (
            {"datasets": {"x": {"format": "hdf5", "path": "x"}}},
            r"^datasets\.x\.format must be one of 'arrays', .*'yolo'$",
        ),
        ({"datasets": {"x": {"path": "x"}}}, r"^datasets\.x\.format is required$"),
        ({"datasets": {"x": "x"}}, r"^datasets\.x must be a mapping, like \{format: image_folder, path: FOLDER\}$"),
        ({"datasets": "x"}, r"^datasets must be a mapping, like \{pets: \{format: image_folder, path: FOLDER\}\}$"),
        ("port: 1\ndatasets:\n\tpets: 2", "invalid YAML at line 3, column 1: indent with spaces, not with tabs$"),
        ({"datasets": {"x": {"format": "audio_folder"}}}, r"^datasets\.x\.path is required$"),
        (
            {"datasets": {"x": {"format": "audio_folder", "path": "x", "mono": True}}},
            r"^datasets\.x\.mono is an unknown field",
        ),
        (
            {"datasets": {"x": {"format": "audio_folder", "path": "x", "max_frames": 0}}},
            r"^datasets\.x\.max_frames must",
        ),
        ({"datasets": {"x": {"format": "image_folder", "path": "x", "recurse": True}}}, r"datasets\.x\.recurse"),
        ({"datasets": {"../x": {"format": "image_folder", "path": "x"}}}, "datasets"),
        ({"host": "0.0.0.0"}, "tokens_file"),  # noqa: S104
        ("port: [", "settings.yaml"),
        ("- port", "settings.yaml"),
        ("\x00", "settings.yaml"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(written, content, named):
    with pytest.raises(ValueError, match=named):
        load_settings(written(content), {})


def test_an_empty_file_changes_nothing(written):
    assert load_settings(written(""), {}) == Settings()


@pytest.mark.parametrize("name", ["AUGSVC_PROT", "AUGSVC_TOKEN_FILE"])
def test_a_variable_with_an_unknown_name_is_refused(monkeypatch, name):
    """The misspelt name of a tokens file would leave the door open."""
    monkeypatch.setenv(name, "x")
    with pytest.raises(ValueError, match=name):
        load_settings(None, {})


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("ALLOW_PLAIN", "allow_unauthenticated"),
        ("MIN_READER_BYTES_PER_S", "min_client_bytes_per_s"),
        ("REQUEST_DEADLINE_S", "request_timeout_s"),
        ("STOP_GRACE_S", "shutdown_timeout_s"),
    ],
)
def test_a_variable_by_its_former_name_is_refused_with_the_present_one(monkeypatch, former, present):
    monkeypatch.setenv(f"AUGSVC_{former}", "1")
    with pytest.raises(ValueError, match=f"^AUGSVC_{former}: this setting is now {present}$"):
        load_settings(None, {})


def test_a_flag_by_its_former_name_is_refused_with_the_present_one():
    done = CliRunner().invoke(app, ["serve", "--allow-plain"], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert "--allow-unauthenticated" in done.stderr
    assert "--allow-plain" not in CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).output


def test_the_client_s_own_variables_are_no_mistake(monkeypatch):
    for name in ("URL", "TOKEN", "JOB"):
        monkeypatch.setenv(f"AUGSVC_{name}", "x")
    assert load_settings(None, {}) == Settings()


# --- commands


def test_ops_lists_every_operation():
    done = CliRunner().invoke(app, ["ops"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    for name in ("rotation", "color_shift", "whitening", "gaussian_blur", "pixel_dropout", "downsample"):
        assert name in done.output


def test_datasets_lists_what_would_be_served(written, folders):
    path = written({"datasets": {"pets": {"format": "image_folder", "path": str(folders / "pets")}}})
    done = CliRunner().invoke(app, ["datasets", "--config", str(path)], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    listed = CliRunner().invoke(app, ["datasets", "list", "--config", str(path)], env={"COLUMNS": "200"})
    assert (listed.exit_code, listed.output) == (0, done.output)
    lost = CliRunner().invoke(app, ["datasets", "--config", str(path), "list"])
    assert lost.exit_code == 2 and "give it after `list`" in lost.output
    rows = {line.split()[0]: line.split()[1:] for line in done.output.splitlines() if line.strip()}
    assert rows.keys() >= {*EMBEDDED, "pets"}
    assert rows["pets"][:2] == ["20", "2"]
    assert rows["digits/train"][:2] == ["1,352", "10"]


@pytest.mark.slow
def test_check_pushes_a_batch_of_everything_through(written, folders, tmp_path):
    write_image_folder(tmp_path / "mixed", {"a": 2})
    for name in ("scan.TIFF", "scan.tiff", "LICENSE"):
        (tmp_path / "mixed" / "a" / name).write_bytes(b"")
    places = {"pets": folders / "pets", "hurt": folders / "hurt", "mixed": tmp_path / "mixed"}
    path = written({"datasets": {n: {"format": "image_folder", "path": str(at)} for n, at in places.items()}})
    done = command("check", "--built-in", "--config", path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in (*EMBEDDED, "pets"):
        assert f"ok {name}: " in done.stdout
    assert "ok mixed: 2 of 2 samples checked\n   ignored by their names: 1 without an extension, 2 .tiff" in done.stdout
    assert "ok hurt: 12 of 12 samples checked, 1 undecodable and replaced\n   undecodable a/005.png: the" in done.stdout
    assert "   classes 1: a 2\n" in done.stdout
    assert re.search(
        r"^ok self-test: arithmetic id [0-9a-f]{32}; servers with the same one give the same", done.stdout, re.M
    )
    assert command("check", "--strict", "--config", path, cwd=tmp_path).returncode == 1
    assert (
        "hurt, mixed, pets: versions cover names and sizes of samples, and all labels; with `digest_contents: true`"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("name", "field", "text"),
    [
        ("speed", "choices", "whole number, 2 … 64, or null"),
        ("five_crop", "pixels", "whole number, 1 … 16384, or null"),
        ("speed", "speed", "0.5 … 2, or [low, high] to draw from"),
        ("speed", "p", "0 … 1"),
    ],
)
def test_only_what_is_drawn_is_said_to_take_a_range(name, field, text):
    assert format_schema(registry(())[name].model_json_schema()["properties"][field]) == text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "none.txt"], "none.txt: No such file or directory"),
        (["ops", "xylophone"], "unknown operation or preset: xylophone; `augsvc ops` lists them"),
        (["ops", "rotatoin"], "unknown operation or preset: rotatoin; did you mean rotation?"),
    ],
)
def test_what_is_not_there_is_named_with_the_next_step(arguments, said):
    refused = CliRunner().invoke(app, arguments)
    assert (refused.exit_code, refused.stderr) == (2, f"{said}\n")


@pytest.mark.parametrize("name", ["preview", "explain"])
def test_a_command_that_fails_reports_no_failing_self_test(tmp_path, name):
    options = {"preview": ["--out", tmp_path / "none" / "x.png"], "explain": ["--epoch", 0, "--position", 10**9]}[name]
    done = command(name, "--dataset", "digits/train", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert "self-test" not in done.stderr
    assert {"preview": "--out: there is no folder", "explain": "epoch"}[name] in done.stderr.splitlines()[-1]


def test_check_of_a_dataset_that_cannot_be_served_says_so(written, tmp_path):
    for number in range(70):
        spoil(tmp_path / "ruin" / "a" / f"{number:03}.png")
    roots = {"ruin": tmp_path / "ruin", "gone": tmp_path / "gone"}
    path = written({"datasets": {name: {"format": "image_folder", "path": str(at)} for name, at in roots.items()}})
    done = command("check", "ruin", "--config", path, cwd=tmp_path)
    assert done.returncode == 1 and "failed ruin: " in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "gone" not in done.stdout + done.stderr and "digits" not in done.stdout  # which were not named
    unknown = CliRunner().invoke(app, ["check", "rain", "--config", str(path)])
    assert unknown.exit_code == 2 and "no dataset has this name: rain" in unknown.stderr


def test_check_lists_all_faults_of_a_dataset_below_its_name(written, tmp_path):
    for split, labels in (("train", ("cat", "_noise_")), ("val", ("cat", "cow"))):
        write_image_folder(tmp_path / "pets" / split, dict.fromkeys(labels, 1))
    (tmp_path / "pets" / "val" / "cat" / "out").symlink_to("/etc")
    roots = {"pets": tmp_path / "pets", "gone": tmp_path / "gone"}
    path = written({"datasets": {name: {"format": "image_folder", "path": str(at)} for name, at in roots.items()}})
    done = CliRunner().invoke(app, ["check", "--config", str(path)])
    other, heading, *faults = done.stderr.splitlines()
    assert (done.exit_code, heading) == (2, "dataset 'pets' cannot be served, 3 faults:")
    assert [fault[:6] for fault in faults] == ["   1. ", "   2. ", "   3. "]
    assert ["'_noise_'" in faults[0], "cat/out is a link" in faults[1], "different classes" in faults[2]] == [True] * 3
    assert other.startswith("dataset 'gone': ")


@pytest.mark.parametrize("name", ["serve", "datasets", "check"])
def test_a_missing_folder_is_reported_in_one_clear_line(written, tmp_path, name):
    path = written({"port": 0, "datasets": {"pets": {"format": "image_folder", "path": str(tmp_path / "nothing")}}})
    done = CliRunner().invoke(app, [name, "--config", str(path)])
    assert done.exit_code == 2
    assert "pets" in done.stderr
    assert "nothing" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_name_of_an_embedded_dataset_is_taken(written, tmp_path):
    write_image_folder(tmp_path / "x", {"a": 1})
    path = written({"datasets": {"digits": {"format": "image_folder", "path": str(tmp_path / "x")}}})
    done = CliRunner().invoke(app, ["datasets", "--config", str(path)])
    assert done.exit_code == 2
    assert "digits" in done.stderr


@pytest.mark.parametrize("arguments", [["serve", "--prot", "1"], ["serv"], ["serve", "--config", "nothing.yaml"]])
def test_what_is_not_known_is_refused(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_port_in_use_is_reported(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        done = command("serve", "--port", taken.getsockname()[1], cwd=tmp_path)
    assert done.returncode == 2
    assert "listens" not in done.stdout
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_names_are_never_cut_in_a_narrow_terminal():
    for arguments, names in ((["recipes"], RECIPES), (["ops"], registry()), (["datasets"], ["photos/train"])):
        for columns in ("80", "40", "20"):
            lines = CliRunner().invoke(app, arguments, env={"COLUMNS": columns}).stdout.splitlines()
            assert set(names) <= {line.split()[0] for line in lines if line.strip()}


def test_explain_of_containers_keeps_its_words_whole():
    steps = [{"op": name} for name in ("hue_saturation_value", "hue_saturation_value", "rotation")]
    pipeline = json.dumps([{"op": "random_order", "of": steps, "id": "any"}, {"op": "rotation", "id": "turn"}])
    options = ["--dataset", "digits/train", "--epoch", "0", "--position", "0", "--pipeline", pipeline]
    for columns in ("80", "40"):
        shown = CliRunner().invoke(app, ["explain", *options], env={"COLUMNS": columns}).stdout
        words = {
            "any.1.hue_saturation_value#2",
            "turn (rotation)",
            "saturation_shift",
            "selected",
            "parameter",
            "degrees",
            "saturation",
        }
        assert all(word in shown for word in words), shown


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_no_last_digits_of_arithmetic(name):
    """1 - 0.8 is 0.19999999999999996."""
    fields = json.loads(CliRunner().invoke(app, ["recipes", name]).stdout)
    assert fields == plain(fields) == json.loads(json.dumps(RECIPES[name].fields()))


def test_explain_shows_six_digits_of_settings_too():
    assert format_setting((1 - 0.8, [1, None], 114 / 255)) == "[0.2, [1, None], 0.447059]"


@pytest.mark.parametrize("name", ["preview", "explain"])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--dataset", "mine"], ["no dataset has this name: mine", "`augsvc datasets`", "--config"]),
        (["--dataset", "photos/trian"], ["did you mean photos/train or photos/test?"]),
        (["--dataset", "pets"], ["pets needs --size"]),
        (["--dataset", "bells"], ["bells needs --seconds"]),
        (["--dataset", "bells", "--seconds", "1"], ["bells needs --sample-rate"]),
        (["--dataset", "pets", "--size", "8", "--pipeline", "hefty"], ["pipeline must be"]),
    ],
)
def test_preview_and_explain_refuse_before_they_compile(written, folders, monkeypatch, tmp_path, name, options, named):
    (tmp_path / "bells" / "big").mkdir(parents=True)
    (tmp_path / "bells" / "big" / "a.wav").write_bytes(b"RIFF")
    paths = {"pets": folders / "pets", "bells": tmp_path / "bells"}
    formats = {"pets": "image_folder", "bells": "audio_folder"}
    datasets = {key: {"format": formats[key], "path": str(path)} for key, path in paths.items()}
    monkeypatch.setattr("augsvc.cli.inspect.open_engine", lambda *_, **__: pytest.fail("the slow part began"))
    more = {"preview": ["--out", tmp_path / "x.png"], "explain": ["--epoch", 0, "--position", 0]}[name]
    arguments = [name, *options, *more, "--config", written({"datasets": datasets})]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 2
    assert all(text in done.stderr for text in named), done.stderr


@pytest.mark.parametrize("name", ["preview", "explain"])
def test_help_documents_the_width(name):
    shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
    assert "--size HEIGHT WIDTH" in shown
