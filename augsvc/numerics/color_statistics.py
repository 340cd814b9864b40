"""Colour statistics of a dataset: exact sums over its pixels, and the mean and the whitening matrix derived from them.

The sums are integers, so they do not depend on the machine, the threads or the order; every derived value is one correctly
rounded division, or + − × ÷ √ in Python floats. `augsvc fit` (augsvc.data.fit) writes them to a file:

    {"format": "augsvc-color-statistics-1", "dataset", "dataset_version", "samples", "left_out",
     "channels": C, "count", "sums": [C], "products": [C][C], "digest": SHA-256 of the rest as canonical JSON}

Canonical means sorted keys, no spaces, ASCII. The integers may exceed 2^53: some JSON readers would round them.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.color import LUMA
from augsvc.validation import explain

EPSILON = 1e-6  # added to the covariance's eigenvalues on the [0, 1] scale; kornia.enhance.ZCAWhitening's default too
_WHITE = 255
_LUMA = tuple(round(weight * 1000.0) for weight in LUMA)  # 299, 587, 114

Natural = Annotated[int, Field(ge=0, strict=True)]
Text = Annotated[str, Field(max_length=256)]


@dataclass(frozen=True, slots=True, eq=False)
class ColorMap:
    """v ↦ matrix·(v − mean) on the [0, 1] scale."""

    mean: F64  # C
    matrix: F64  # C,C


class ColorStatistics(BaseModel):
    """Sums over all pixels of all samples of a dataset, each at its own resolution, of uint8 values of C channels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["augsvc-color-statistics-1"] = "augsvc-color-statistics-1"
    dataset: Text  # they were fitted on
    dataset_version: Text  # its version, without statistics
    samples: Natural  # summed
    left_out: Natural  # could not be decoded
    channels: Literal[1, 3]
    count: Annotated[int, Field(ge=1, strict=True)]  # pixels
    sums: tuple[Natural, ...]  # C
    products: tuple[tuple[Natural, ...], ...]  # C,C: sums of channel · channel

    @model_validator(mode="after")
    def _possible(self) -> "ColorStatistics":
        c = range(self.channels)
        if [len(self.sums), len(self.products), *map(len, self.products)] != [self.channels] * (self.channels + 2):
            raise ValueError("must have one sum per channel, and one product per pair of channels")
        if any(self.products[i][j] != self.products[j][i] for i in c for j in c):
            raise ValueError("must have the same product for i, j as for j, i")
        if any(self.sums[i] > _WHITE * self.count or not self._has_variance(i) for i in c):
            raise ValueError("must be sums of values from 0 to 255")
        return self

    def _has_variance(self, i: int) -> bool:
        """Whether a channel's sum of squares is possible for its sum."""
        return self.sums[i] ** 2 <= self.count * self.products[i][i] <= self.count * _WHITE * self.sums[i]

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of all fields."""
        return hashlib.sha256(_canonical(self.model_dump(mode="json"))).hexdigest()

    def text(self) -> str:
        """The contents of the file."""
        fields = self.model_dump(mode="json") | {"digest": self.digest}
        return (
            "{\n" + ",\n".join(f" {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items()) + "\n}\n"
        )

    def mean(self) -> tuple[float, ...]:
        """The mean of each channel in [0, 1]."""
        return tuple(total / (self.count * _WHITE) for total in self.sums)

    def covariance(self) -> tuple[tuple[float, ...], ...]:
        """The covariance C,C of the dataset's pixels (divided by their number) on the [0, 1] scale."""
        return _covariance(self.count, _WHITE, self.sums, self.products)

    def mean_color(self, channels: int) -> F64:
        """The mean of each channel of a stream with `channels` (1 or 3): one channel of a colour dataset is its luma."""
        if channels < self.channels:
            return np.array([self._luma()[0]])
        return np.resize(self.mean(), channels)

    def whitening(self, channels: int) -> ColorMap:
        """ZCA whitening of a stream with `channels` (1 or 3): W = (Σ + εI)^(−1/2), the symmetric root, and the mean.

        One channel of a colour dataset is its luma: mean lᵀμ, variance lᵀΣl (the rounding of luma to whole levels, a variance
        of 1/12 level², is not counted). Three channels of a grey dataset repeat one value and are whitened as that value: the
        covariance has rank one, and its root, defined through ε alone, would amplify any colour that an operation adds by
        1/√ε = 1000.
        """
        if channels == self.channels:
            return ColorMap(np.array(self.mean()), np.array(_inverse_root(self.covariance())))
        if channels == 1:
            mean, covariance = self._luma()
            return ColorMap(np.array([mean]), np.array(_inverse_root(((covariance,),))))
        grey = self.whitening(self.channels)
        return ColorMap(np.repeat(grey.mean, channels), np.eye(channels) * grey.matrix[0, 0])

    def principal_axes(self, channels: int) -> list[tuple[float, list[float]]]:
        """Eigenvalues and unit eigenvectors of the covariance of a stream with `channels` (1 or 3), largest first.

        One channel of a colour dataset is its luma; three channels of a grey dataset vary together.
        """
        covariance = self.covariance()
        if channels < self.channels:
            covariance = ((self._luma()[1],),)
        elif channels > self.channels:
            covariance = ((covariance[0][0],) * channels,) * channels
        values, vectors = exact.eigen(covariance)
        axes = [[row[k] for row in vectors] for k in range(channels)]
        return sorted(zip(values, axes, strict=True), key=lambda pair: -pair[0])

    def _luma(self) -> tuple[float, float]:
        """Mean and variance of lᵀv."""
        total = sum(weight * value for weight, value in zip(_LUMA, self.sums, strict=True))
        square = sum(_LUMA[i] * _LUMA[j] * value for i, row in enumerate(self.products) for j, value in enumerate(row))
        white = _WHITE * sum(_LUMA)
        return total / (self.count * white), _covariance(self.count, white, (total,), ((square,),))[0][0]


def read_statistics(path: Path) -> ColorStatistics:
    """The statistics in a file.

    Raises:
        ValueError: for the operator: it cannot be opened, or was not written by `augsvc fit`.
    """
    try:
        return parse_statistics(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as err:
        raise ValueError(f"{path}: the file cannot be opened: create it with `augsvc fit`") from err
    except ValueError as err:
        raise ValueError(f"{path}: {err}: recreate the file with `augsvc fit`") from err


def parse_statistics(text: str) -> ColorStatistics:
    """The statistics in the text of a file.

    Raises:
        ValueError: it is damaged, edited, or of another format.
    """
    try:
        fields = json.loads(text)
        digest = fields.pop("digest")
        statistics = ColorStatistics.model_validate(fields)
    except ValidationError as err:
        raise ValueError(explain(err, "statistics").message) from err
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as err:
        raise ValueError("this is not a file of `augsvc fit`") from err
    if digest != statistics.digest:
        raise ValueError("the file was edited: its digest does not match")
    return statistics


def _canonical(fields: object) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def _covariance(
    count: int, white: int, sums: tuple[int, ...], products: tuple[tuple[int, ...], ...]
) -> tuple[tuple[float, ...], ...]:
    """E[xy] − E[x]·E[y] as one division of integers each, which Python rounds correctly: nothing cancels."""
    scale = (count * white) ** 2
    return tuple(
        tuple((count * product - sums[i] * sums[j]) / scale for j, product in enumerate(row))
        for i, row in enumerate(products)
    )


def _inverse_root(covariance: tuple[tuple[float, ...], ...]) -> list[list[float]]:
    """(Σ + εI)^(−1/2) = V·diag(1/√(λ + ε))·Vᵀ, its sums in a fixed order, exactly symmetric."""
    values, vectors = exact.eigen(covariance)
    gains = [1.0 / math.sqrt(max(value, 0.0) + EPSILON) for value in values]
    root = [[0.0] * len(values) for _ in values]
    for i, row in enumerate(vectors):
        for j in range(i + 1):
            for gain, a, b in zip(gains, row, vectors[j], strict=True):
                root[i][j] += gain * (a * b)
            root[j][i] = root[i][j]
    return root
