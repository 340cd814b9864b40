"""Manifests: a CSV, TSV or JSONL file with one row a sample, the file of its image and its label of any kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from augsvc.data.formats.annotated import AnnotatedFormat
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.dataset_root import DatasetRoot, join, require_below
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.index import list_names
from augsvc.data.formats.layout import split_of
from augsvc.data.formats.manifest_labels import LABELS, Label
from augsvc.data.formats.manifest_rows import ManifestRows
from augsvc.data.source import SPLITS
from augsvc_client.decoding.limits import AUDIO_SUFFIXES

SUFFIXES = (".csv", ".tsv", ".jsonl")
Name = Annotated[str, StringConstraints(min_length=1)]


class ManifestSettings(AnnotatedFormat):
    """The operator's settings of one dataset with manifests."""

    format: Literal["manifest"]
    manifest: Name | dict[Literal["train", "val", "test"], Name] | None = None  # None: metadata.csv, also in each split
    file: Name = "file_name"  # the column of the image files, relative to the manifest
    label: Name | tuple[Name, ...] = "label"  # the column; or several of them, of numbers
    label_kind: Literal["class", "multi_label", "regression", "text"] = "class"
    classes: tuple[Name, ...] = ()  # in the order of the labels; none: all that there are, sorted
    separator: Name = Field(default="|")  # of the classes of a row, in one column of a multi-label manifest
    split: Name | None = None  # the column that names each row's split
    columns: tuple[Name, ...] = ()  # further ones, of numbers or texts, that subsets may filter by

    @model_validator(mode="after")
    def _require_one_column(self) -> "ManifestSettings":
        if self.label_kind in ("class", "text") and not isinstance(self.label, str):
            raise ValueError("label must be one column unless label_kind is multi_label or regression")
        return self

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Those of the label."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def _column_settings(self) -> Mapping[str, str]:
        """Each column that rows need, with the setting that names it."""
        settings = (
            dict.fromkeys(self.columns, "columns") | {self.file: "file"} | dict.fromkeys(self.label_columns, "label")
        )
        return settings if self.split is None else settings | {self.split: "split"}

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """The rows by manifest, or by the column `split`."""
        collected: dict[str, Label] = {}
        faults = Faults()
        new = LABELS[self.label_kind]
        for split, file in self._find_manifests(root).items():
            with root.open(file) as opened:
                rows = ManifestRows(opened, root.locate(file), self._column_settings, faults)
                for row in rows:
                    try:
                        name = split if self.split is None else _split(row.text(self.split))
                        label = collected.setdefault(
                            name, new(self.label_columns, self.classes, self.separator, self.columns)
                        )
                        label.add(join(file.rpartition("/")[0], _image(row.text(self.file))), row)
                    except ValueError as err:
                        rows.refuse(err)
            for label in collected.values():
                label.cover(rows.digest)
        faults.refuse()
        if not collected:
            raise ValueError(f"{root.locate('')}: the manifests have no rows")
        classes = self.classes or tuple(new.classes_of(collected.values()))
        return {split: collected[split].build(classes) for split in ("", *SPLITS) if split in collected}

    def _find_manifests(self, root: DatasetRoot) -> dict[str, str]:
        """Split → file."""
        if isinstance(self.manifest, str):
            return {"": require_below(self.manifest, "`manifest`")}
        if self.manifest is not None:
            return {
                split: require_below(self.manifest[split], "`manifest`") for split in SPLITS if split in self.manifest
            }
        folders = [("", ""), *((str(split_of(name)), name) for name in root.folders() if split_of(name))]
        files = [
            (split, join(folder, f"metadata{suffix}"))
            for split, folder in folders
            for suffix in SUFFIXES
            if root.is_file(join(folder, f"metadata{suffix}"))
        ]
        if not files:
            raise ValueError(f"{root.locate('')} has no metadata.csv or metadata.jsonl: name the file in `manifest`")
        by_split = dict(files)
        if len(by_split) < len(files) or ("" in by_split and len(files) > 1):
            names = list_names(sorted(file for _, file in files))
            raise ValueError(
                f"{root.locate('')} has {names}, of which some would be left out: name those to serve in `manifest`"
            )
        return {split: by_split[split] for split in ("", *SPLITS) if split in by_split}


def _image(name: str) -> str:
    if Path(name).suffix.lower() in AUDIO_SUFFIXES:
        raise ValueError("it is a sound, and a manifest lists images; `format: kaldi` lists sounds")
    return require_below(name, "it")


def _split(value: str) -> str:
    split = split_of(value)
    if split is None:
        raise ValueError(f"the split {value!r} is none of train, val and test")
    return split
