"""Reads a file's text: printed forms of torchvision, Kornia and audiomentations, serialised ones of Albumentations,
configurations of torch-audiomentations.
"""

import json
import re

import yaml

from augsvc.importing.audiomentations import AUDIOMENTATIONS, CONTAINERS
from augsvc.importing.configured import is_configured, read_configured
from augsvc.importing.node import MAX_TEXT, CannotRead, Library, Node
from augsvc.importing.printed import parse_printed
from augsvc.importing.serialized import read_serialized
from augsvc_client.strict_yaml import load_yaml

_PRINTED = re.compile(r"\s*\[?\s*[A-Za-z_][A-Za-z0-9_.]*\s*\(")  # one transform, or a list of them
_CODE = re.compile(
    r"^(?:import|from) +[\w.]+ *(?:$|[,;#]|import\b|as\b)"  # anywhere
    r"|\A\s*\w+ *= *\[?\s*[\w.]+\("  # t = Compose(
    r"|\A\s*\[?\s*(?!torchvision\.|kornia\.)\w+\.[\w.]+\("  # v2.Compose(
    r"|\A\s*(?:def|class|lambda)\b",
    re.MULTILINE,
)
_NAMED = re.compile(r"\s*\{\s*['\"](\w{1,40})['\"]\s*:\s*[A-Za-z_]\w*\s*\(")  # {'train': Compose(
_SOUND_NAMES = {*AUDIOMENTATIONS.translators, *AUDIOMENTATIONS.refused} - {*CONTAINERS, "Normalize", "Lambda"}
_SOUND = re.compile(rf"\b(?:{'|'.join(sorted(_SOUND_NAMES))}|Normalize\(p=[\d.]+, apply_to)\b")
_KORNIA = re.compile(r"\b(AugmentationSequential|ImageSequential)\b|\bp_batch=")


def read_text(text: str) -> tuple[Library, Node]:
    """The library and the tree of a transform in its text form.

    Raises:
        CannotRead: it is too long, or in none of the forms.
    """
    if len(text) > MAX_TEXT:
        raise CannotRead(f"has {len(text):,} characters, over {MAX_TEXT:,}: a transform takes a few thousand")
    if not text.strip():
        raise CannotRead("is empty: print(transform), or json.dump(albumentations.to_dict(transform), file)")
    _require_no_python(text)
    if not _PRINTED.match(text):
        value = _load(text)
        if is_configured(value):
            return "torch_audiomentations", read_configured(value)
        return "albumentations", read_serialized(value)
    if _SOUND.search(text):
        return "audiomentations", parse_printed(text)
    if re.match(r"\s*\w+\s*\(\s*\[", text):
        raise CannotRead(
            "is Albumentations' printed form: write json.dump(albumentations.to_dict(transform), file) instead"
        )
    return "kornia" if _KORNIA.search(text) else "torchvision", parse_printed(text)


def _require_no_python(text: str) -> None:
    """Refuses source code and Python's dicts, naming the form to write instead."""
    if _CODE.search(text):
        raise CannotRead(
            "is Python code, which is never run: run it, and import what print(transform) shows, of Albumentations "
            "json.dumps(albumentations.to_dict(transform))"
        )
    if named := _NAMED.match(text):
        raise CannotRead(f"holds transforms by name: import one of them, such as print(transforms[{named[1]!r}])")
    if re.match(r"\s*\{\s*'", text):
        raise CannotRead("is a Python dict: write json.dumps(albumentations.to_dict(transform)) in place of print")


def _load(text: str) -> object:
    """JSON with numbers such as NaN, which the parameters refuse by name; otherwise YAML."""
    try:
        if text.lstrip()[0] in "{[":
            return json.loads(text, object_pairs_hook=_distinct)
        return load_yaml(text)
    except json.JSONDecodeError as err:
        raise CannotRead(f"line {err.lineno}: is not JSON, {err.msg[0].lower()}{err.msg[1:]}") from err
    except RecursionError as err:
        raise CannotRead("is nested too deeply to be read") from err
    except (yaml.YAMLError, ValueError) as err:
        line = getattr(getattr(err, "problem_mark", None), "line", None)
        where = f"line {line + 1}: " if line is not None else ""
        reason = getattr(err, "problem", None) or str(err).partition("\n")[0] or "cannot be read"
        raise CannotRead(f"{where}is neither a printed transform nor YAML, {reason}") from err


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is repeated; keep one of them")
    return values
