"""The specifications that the self-test runs, by what streams use."""

from collections.abc import Mapping, Sequence

from augsvc.ops.kinds.border import Bordered
from augsvc.ops.kinds.image import PaddedFrame
from augsvc.ops.operation import Kind, Operation

BORDERS: tuple[Mapping[str, object], ...] = (
    {"border": "constant", "fill": (0.2, 0.4, 0.6)},
    {"border": "constant", "fill": "mean"},
    {"border": "reflect101"},
)


def image_specs() -> list[dict[str, object]]:
    """Fits, beside frames too, channels, layouts and floats; borders under a composed camera; several passes."""
    specs: list[dict[str, object]] = [
        {"fit": fit, "channels": channels, "output": {"layout": layout}}
        for fit in ("cover", "contain", "stretch")
        for channels in (1, 3)
        for layout in ("NCHW", "NHWC")
    ]
    specs += [{"output": {"dtype": dtype}} for dtype in ("float16", "bfloat16", "float32")]
    specs.append({"output": {"dtype": "float32", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}})
    for fit in ("cover", "contain", "stretch"):  # around and beside a frame that selects half of the samples
        for op in ("random_resized_crop", "random_crop"):
            specs.append({"fit": fit, "pipeline": [{"op": op, "p": 0.5}, {"op": "rotation", "degrees": 20}]})
    specs.append({"pipeline": [{"op": "letterbox", "p": 0.5}]})
    return specs + [spec for border in ("zeros", "reflect", "edge") for spec in border_specs({"border": border})]


def border_specs(border: Mapping[str, object]) -> list[dict[str, object]]:
    """A border beyond one pass and two, under perspective too."""
    turn = {"op": "rotation", "degrees": [-180, 180], **border}
    zoom = {"op": "affine", "scale": [0.4, 2.5], "shear_x": [-20, 20], **border}
    tilt = {"op": "perspective", "distortion": [0.3, 0.6], **border}
    passes = [zoom, {"op": "color_jitter"}, turn, {"op": "gamma"}, {"op": "color_shift"}]
    return [{"pipeline": [turn, zoom]}, {"pipeline": [tilt, zoom]}, {"pipeline": passes}]


def shows_a_border(operation: Operation) -> bool:
    """Whether its border is one of BORDERS; the others are part of every stream's arithmetic."""
    if isinstance(operation, Bordered):
        return operation.border in ("constant", "reflect101")
    return isinstance(operation, PaddedFrame) and operation.border == "reflect101"


def deep_specs() -> list[dict[str, object]]:
    """Sources of 16 bits: unchanged and moved, through several passes, into each kind of output; and uint16 from bytes."""
    turn: dict[str, object] = {"op": "rotation", "degrees": [-180, 180], "border": "reflect"}
    tilt: dict[str, object] = {"op": "perspective", "distortion": [0.3, 0.6]}
    pipelines: tuple[list[dict[str, object]], ...] = (
        [],
        [turn, {"op": "gaussian_blur"}, {"op": "gaussian_noise"}],
        [tilt, {"op": "color_jitter"}, {"op": "gamma"}, turn],
    )
    specs: list[dict[str, object]] = [
        {"dataset": "deep_probe", "pipeline": pipeline, "channels": channels, "output": {"dtype": dtype}}
        for pipeline in pipelines
        for channels, dtype in ((3, "uint8"), (3, "uint16"), (1, "float32"))
    ]
    return [*specs, {"output": {"dtype": "uint16", "layout": "NHWC"}}]


def sound_specs() -> list[dict[str, object]]:
    """Shifts, gains and noise, one after the other."""
    chain = [{"op": op, **more} for op, more in (("time_shift", {"shift": [-1, 1]}), ("gain", {})) for _ in range(2)]
    return [{"pipeline": [*chain, {"op": "white_noise"}, {"op": "white_noise"}, *chain]}]


def image_corner_specs(
    operation: type[Operation], modes: Sequence[dict[str, object]], specs: list[dict[str, object]]
) -> list[dict[str, object]]:
    """Those of an operation's corners, and its modes over greys; what needs statistics of the dataset over those of greys too."""
    if operation.kind is Kind.MIX:  # of which some cannot carry the masks of the probe in colour
        return [{**spec, "dataset": "grey_probe", "channels": channels} for spec in specs for channels in (1, 3)]
    grey: list[dict[str, object]] = [{"pipeline": [mode], "channels": 1} for mode in modes]
    over_greys: list[dict[str, object]] = [
        {"pipeline": [mode], "channels": channels, "dataset": "grey_probe"}
        for mode in modes
        if operation.model_validate(mode).needs_fitted
        for channels in (1, 3)
    ]
    warps: list[dict[str, object]] = []
    if operation.kind is Kind.WARP:  # from canvas to canvas, which no other pass does in the same way
        warps = [{"pipeline": [{"op": "pixel_dropout"}, mode]} for mode in modes]
    return [*grey, *specs, *warps, *over_greys]
