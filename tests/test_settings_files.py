"""Settings files: repeated keys, byte counts with units, names of datasets."""

import json
import re
from itertools import pairwise

import pytest
import yaml

from augsvc.settings import Settings, load_settings
from augsvc_client.strict_yaml import load_yaml
from augsvc_client.trainer.recipe import load_recipe, parse_override


@pytest.fixture
def written(tmp_path):
    def written(text, name="settings.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("port: 1\nhost: ::1\nport: 2\n", "port", "1 and 3"),
        ("port: 1\n'port': 2\n", "port", "1 and 2"),
        ("datasets:\n  x: {format: image_folder, path: a}\n  x: {format: image_folder, path: b}\n", "x", "2 and 3"),
        ("datasets: {x: {format: image_folder, path: a, path: b}}", "path", "1 and 1"),
        ("operations:\n- {a: 1,\n   a: 2}", "a", "2 and 3"),
    ],
)
def test_a_repeated_key_is_refused_with_its_lines(written, text, key, lines):
    with pytest.raises(ValueError, match=f"settings.yaml: the key '{key}' is repeated, on lines {lines}"):
        load_settings(written(text), {})


def test_a_client_twice_in_the_tokens_file_is_refused(written):
    path = written("run: {token: aaaaaaaaaaaaaaaaaaaa}\nrun: {token: bbbbbbbbbbbbbbbbbbbb}\n", "tokens.yaml")
    with pytest.raises(ValueError, match=r"tokens.yaml: the key 'run' is repeated") as refused:
        Settings(tokens_file=path).tokens()
    assert "aaaa" not in str(refused.value) and "bbbb" not in str(refused.value)


@pytest.mark.parametrize("name", ["1", "no", "~", "2020-01-01", "''", '"a\\e[2J"', '"a\\u202eb"', '"a\\nb"'])
def test_a_client_name_that_is_no_printable_text_is_refused(written, name):
    """1 and "1" were two clients with the same uploads, and `no` the client False."""
    path = written(f"{name}: {{token: aaaaaaaaaaaaaaaaaaaa}}\n", "tokens.yaml")
    with pytest.raises(ValueError, match="is no client name") as refused:
        Settings(tokens_file=path).tokens()
    assert str(refused.value).isprintable() and "aaaa" not in str(refused.value)


def test_recipes_and_overrides_refuse_repeated_keys_too(written):
    with pytest.raises(ValueError, match="the key 'epochs' is repeated"):
        load_recipe(written("training: {epochs: 1, epochs: 2}"), {})
    with pytest.raises(ValueError, match="the key 'a' is repeated"):
        parse_override("data.x={a: 1, a: 2}")


def test_a_merged_mapping_may_be_overridden():
    text = "base: &base {a: 1, b: 2}\nx: &x {<<: *base, a: 3}\ny: {<<: *x, b: 4}\n"
    assert load_yaml(text) == {"base": {"a": 1, "b": 2}, "x": {"a": 3, "b": 2}, "y": {"a": 3, "b": 4}}


def test_a_long_list_is_no_bomb_and_a_bomb_is_refused_in_no_time():
    names = "abcdefghijklmnopqrstuvwxyz"
    long = load_yaml("- 1\n" * 120_000)
    assert len(long) == 120_000
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in pairwise(names)]
    with pytest.raises(yaml.YAMLError, match="more than 100,000 values"):
        load_yaml("\n".join(lines))
    with pytest.raises(yaml.YAMLError, match="nested too deeply"):
        load_yaml("[" * 50_000)


def test_a_variable_that_is_json_has_no_repeated_keys_either(monkeypatch):
    entry = json.dumps({"format": "image_folder", "path": "x"})
    monkeypatch.setenv("AUGSVC_DATASETS", f'{{"a": {entry}, "a": {entry}}}')
    with pytest.raises(ValueError, match=r"^datasets: AUGSVC_DATASETS must be JSON.*repeated keys"):
        load_settings(None, {})


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("2GiB", 2 << 30), ("2 GiB", 2 << 30), ("'2gib'", 2 << 30), ("512MiB", 512 << 20), ("1.5GiB", 3 << 29), ("2Gi", 2 << 30),
        ("64KiB", 65536), ("1TiB", 1 << 40), ("2GB", 2 * 10**9), ("2G", 2 * 10**9), ("300 kB", 300_000), ("100B", 100),
        ("1_000_000", 10**6), ("1e9", 10**9), ("'4096'", 4096), ("0", 0), ("1073741824", 1 << 30),
    ],
)  # fmt: skip
def test_byte_counts_have_units(written, monkeypatch, text, n_bytes):
    assert load_settings(written(f"cache_bytes: {text}"), {}).cache_bytes == n_bytes
    monkeypatch.setenv("AUGSVC_MAX_BATCH_BYTES", text.strip("'"))
    assert load_settings(None, {}).max_batch_bytes == n_bytes
    config = written(f"datasets: {{x: {{format: image_folder, path: x, max_file_bytes: {text}}}}}")
    if n_bytes:
        assert load_settings(config, {}).datasets["x"].max_file_bytes == n_bytes


@pytest.mark.parametrize(
    "text",
    ["2 gigabytes", "GiB", "-1GiB", "2GiBB", "1.5", "0x10GiB", "2 G i B", "[1]", "1e999GiB", "on", "'1.5'", "'0x10'"],
)
def test_other_texts_are_no_byte_counts(written, text):
    with pytest.raises(ValueError, match="cache_bytes must be"):
        load_settings(written(f"cache_bytes: {text}"), {})


@pytest.mark.parametrize("name", ["port", "max_sample_s", "request_timeout_s", "shutdown_timeout_s"])
def test_a_switch_is_no_number(written, name):
    with pytest.raises(ValueError, match=f"^{name} must be a number"):
        load_settings(written(f"{name}: on"), {})


@pytest.mark.parametrize(
    "field", ["format: audio_folder, max_frames", "format: audio_folder, channels", "format: image_folder, max_pixels"]
)
def test_a_switch_is_no_number_of_a_dataset(written, field):
    with pytest.raises(ValueError, match=rf"^datasets\.pets\.{field.split()[-1]} must not be a switch"):
        load_settings(written(f"datasets: {{pets: {{path: x, {field}: on}}}}"), {})


@pytest.mark.parametrize("name", ["'my pets'", "ü", "a//b", "'*'", "'a:b'"])
def test_a_name_that_is_none_is_refused_with_what_names_have(written, name):
    with pytest.raises(ValueError, match="is no name of a dataset: names have letters, digits, _ and -"):
        load_settings(written(f"datasets: {{{name}: {{format: image_folder, path: x}}}}"), {})


@pytest.mark.parametrize("name", ["imagenet.v2", "v1.0/crops", "a.b.c", "2024.11.01"])
def test_dataset_names_may_have_dots(written, name):
    config = written(f"datasets: {{{name}: {{format: image_folder, path: x}}}}")
    assert list(load_settings(config, {}).datasets) == [name]


@pytest.mark.parametrize("name", ["..", ".", "a..b", ".hidden", "a/../b", "a.", "a/.b"])
def test_dots_that_make_a_path_are_refused(written, name):
    with pytest.raises(ValueError, match="datasets"):
        load_settings(written(f"datasets: {{'{name}': {{format: image_folder, path: x}}}}"), {})


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("widow: [0, 1]", "widow is an unknown field; did you mean window?; see docs/settings.md"),
        ("strict: 3", "strict must be true or false"),
        ("digest_contents: maybe", "digest_contents must be true or false"),
        ("statistics: 3", "statistics must be a path"),
        ("follow_links: [3]", "follow_links.0 must be a path"),
        ("follow_links: 3", "follow_links must be a list of folders, like [/data/blobs]"),
    ],
)
def test_a_wrong_option_of_a_dataset_is_named_with_the_cure(written, field, message):
    with pytest.raises(ValueError, match=f"^datasets.pets.{re.escape(message)}$"):
        load_settings(written(f"datasets: {{pets: {{format: image_folder, path: x, {field}}}}}"), {})
