"""What the GPU's grid has to compute as the CPU does: all operations at their ends, borders, passes, channels, layouts."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from augsvc.arrays import Sample
from augsvc.data.catalog import open_catalog
from augsvc.executors.protocol import Executor
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.border import EDGE
from augsvc.ops.kinds.image import Frame
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.harness import ListSource, patch

SIZE = (5, 9)  # of the canvas: 45 pixels, which no number of threads divides
_SOURCES = (patch("coffee", *SIZE), patch("chelsea", 21, 40), patch("astronaut", 130, 90))
_COLORS = open_catalog({}, 0).get("photos/train").info.colors  # opened once: 40 ms, two thirds of a simulated case


def _operations():
    """Each alone, of some samples; and the same grey, and all that it draws at the low and at the high end."""
    cases, ends = {}, {}
    for name, operation in registry().items():
        if operation.media != "image":
            continue
        marks = operation.parameters()
        labels = {"labels": True} if issubclass(operation, Frame) and operation.labels else {}
        for mode in operation.examples:
            step = {"op": name, **mode}
            called = ", ".join([name, *map(str, mode.values())])
            cases[called] = {"pipeline": [{**step, "p": 0.7}], **labels}
            ends[f"{called}, grey"] = {**cases[called], "channels": 1}
            for end in ("low", "high"):
                ends[f"{called}, {end}"] = {
                    "pipeline": [step | {key: getattr(mark, end) for key, mark in marks.items()}],
                    **labels,
                }
    return cases, ends


def _moves():
    """Every border, enlarged and shrunk, from a source and from a canvas."""
    cases = {}
    for border in ("zeros", "reflect", "reflect101", "edge"):
        for called, scale in (("shrunk", [0.2, 0.5]), ("as it is", [0.9, 1.1]), ("enlarged", [2.0, 4.0])):
            wild = {"op": "affine", "degrees": [-180, 180], "scale": scale, "shear_x": [-20, 20], "border": border}
            cases[f"{border}, {called}"] = {"pipeline": [wild]}
            tilted = {"op": "perspective", "distortion": 0.6, "border": border}
            cases[f"{border}, {called}, tilted"] = {"pipeline": [tilted, wild]}
            cases[f"{border}, {called}, tilted again"] = {
                "pipeline": [{"op": "pixel_dropout"}, {**tilted, "p": 0.7}, wild],
                "channels": 1,
            }
            cases[f"{border}, {called}, again"] = {"pipeline": [{"op": "pixel_dropout"}, {**wild, "p": 0.7}]}
    return cases


def _warps():
    """Every border, with other moves, from a source and from a canvas."""
    cases = {}
    warp = {"op": "elastic", "displacement": 0.25, "spacing": 4}
    wild = {"op": "affine", "degrees": [-180, 180], "scale": [0.3, 3]}
    for border in ("zeros", "reflect", "reflect101", "edge"):
        bordered = [{**step, "border": border} for step in (wild, {**warp, "p": 0.7})]
        tilted = {"op": "perspective", "distortion": 0.6, "border": border}
        cases[f"{border}, warped"] = {"pipeline": bordered}
        cases[f"{border}, warped, grey"] = {"pipeline": bordered, "channels": 1}
        cases[f"{border}, warped, tilted"] = {"pipeline": [tilted, *bordered]}
        cases[f"{border}, warped twice"] = {"pipeline": [warp, {"op": "pixel_dropout"}, *bordered, warp]}
    return cases


def _interpolations():
    """The nearest pixel and cubic weights at every border, aligned or not, from a source and from a canvas."""
    cases = {}
    for name in ("nearest", "bicubic"):
        for border in ("zeros", "reflect", "reflect101", "edge"):
            own = {"interpolation": name, "border": border}
            wild = {"op": "affine", "degrees": [-180, 180], "scale": [0.6, 3], **own}
            turned = {"op": "affine", "degrees": 90, "scale": [0.2, 0.9], **own}
            tilted = {"op": "perspective", "distortion": 0.6, **own}
            cases[f"{name}, {border}"] = {"pipeline": [{"op": "random_crop"}, wild]}
            cases[f"{name}, {border}, turned, grey"] = {"pipeline": [{"op": "random_crop"}, turned], "channels": 1}
            cases[f"{name}, {border}, tilted, again"] = {
                "pipeline": [{"op": "pixel_dropout"}, tilted, {**wild, "p": 0.7}]
            }
        framed = {"op": "random_resized_crop", "interpolation": name}
        for size in ((7, 8), (26, 18)):  # of a source 3 × 5 and 5 × 5 times as large: centres on pixels
            whole = {"op": "zoom_out", "side": 1, "interpolation": name}
            cases[f"{name}, shrunk to {size[0]} × {size[1]}"] = {"pipeline": [whole], "size": list(size)}
        cases[f"{name}, framed"] = {"pipeline": [framed, {"op": "horizontal_flip"}, {"op": "gaussian_blur"}]}
        cases[f"{name}, 16 bits"] = {"pipeline": [framed], "deep": True, "output": {"dtype": "uint16"}}
    return cases


def _frames():
    fits = ("cover", "contain", "stretch")
    shapes = [(channels, layout) for channels in (1, 3) for layout in ("NCHW", "NHWC")]
    plain = {
        f"{fit}, {channels}, {layout}": {"fit": fit, "channels": channels, "output": {"layout": layout}}
        for fit in fits
        for channels, layout in shapes
    }
    presets = {
        f"{name}, {channels}, {layout}": {"pipeline": name, "channels": channels, "output": {"layout": layout}}
        for name in ("standard", "strong")
        for channels, layout in shapes
    }
    return plain | presets


def _passes():
    blur, noise, turn = {"op": "gaussian_blur", "sigma": 1.5}, {"op": "gaussian_noise", "std": 0.2}, {"op": "rotation"}
    lost, rest = {"op": "pixel_dropout", "rate": 0.3}, {"op": "gamma", "gamma": [0.5, 2]}
    return {
        "in two passes, after statistics": {"pipeline": [blur, noise, {"op": "whitening"}, noise, turn, rest]},
        "statistics": {"pipeline": [turn, {"op": "whitening", "p": 0.7}], "channels": 1},
        "a dense filter among others": {
            "pipeline": [
                turn,
                {"op": "gamma"},
                {"op": "sharpen", "amount": 8},
                {"op": "motion_blur", "p": 0.6},
                blur,
                noise,
            ]
        },
        "a dense filter of what is there": {
            "pipeline": [noise, {"op": "motion_blur", "length": 32, "p": 0.6}, lost, {"op": "erasing"}],
            "channels": 1,
        },
        "two filters": {"pipeline": [turn, blur, {**blur, "p": 0.5}, noise]},
        "only filters that no sample takes": {"pipeline": [{**blur, "p": 0.0}, noise]},
        "several noises and rectangles": {
            "pipeline": [noise, lost, noise, {"op": "erasing"}, {"op": "erasing", "p": 0.5, "id": "more"}]
        },
        "noises after a filter": {"pipeline": [blur, lost, noise, {"op": "erasing"}]},
        "an opaque operation between": {"pipeline": [noise, {"op": "downsample", "p": 0.7}, turn, blur]},
        "an opaque operation last": {"pipeline": [blur, {"op": "downsample"}], "channels": 1},
        "HSV between tones, of some samples": {
            "pipeline": [
                {"op": "color_shift"},
                {"op": "hue_saturation_value", "saturation_shift": [-1, 1], "p": 0.5},
                rest,
                {"op": "photometric_distort", "chance": 1.0},
                {"op": "equalize", "p": 0.7},
            ]
        },
        "operations that exclude each other, with statistics": {
            "pipeline": [
                {"op": "rand_augment", "magnitude": 20},
                {"op": "one_of", "of": [{"op": op} for op in ("equalize", "whitening", "rotation", "gaussian_blur")]},
            ]
        },
        "statistics of what has moved": {
            "pipeline": [
                {"op": "erasing"},
                turn,
                {"op": "equalize", "p": 0.5},
                {"op": "one_of", "of": [{"op": "horizontal_flip"}, {"op": "contrast", "pivot": "mean"}]},
            ]
        },
        "tones after tones": {"pipeline": [rest, {"op": "color_jitter"}, rest, {"op": "color_shift"}]},
    }


def _deep():
    """Sources of 16 bits, and values of 16 bits as the result."""
    wide, turn = {"dtype": "uint16"}, {"op": "affine", "degrees": [-180, 180], "scale": [0.3, 3]}
    cases = {
        "unchanged": {"fit": "stretch"},
        "moved, grey": {"pipeline": [turn], "channels": 1},
        "tilted": {"pipeline": [{"op": "perspective", "distortion": 0.6, "border": "reflect"}]},
        "in two passes": {"pipeline": [turn, {"op": "gaussian_blur"}, {"op": "gaussian_noise"}, turn]},
        "a dense filter": {"pipeline": [{"op": "motion_blur", "p": 0.6}, {"op": "gamma"}]},
        "an opaque operation last": {"pipeline": [turn, {"op": "downsample"}]},
        "warped": {"pipeline": [turn, {"op": "elastic", "spacing": 4}, {"op": "gaussian_blur"}]},
    }
    into_values = {f"16 bits, {name}": {"deep": True, "output": wide, **fields} for name, fields in cases.items()}
    into_bytes = {f"16 bits, {name}, bytes": {"deep": True, **fields} for name, fields in cases.items()}
    return into_values | into_bytes | {"bytes into 16 bits": {"pipeline": [turn], "output": wide}}


_ALONE, END_CASES = _operations()
CASES = _ALONE | _moves() | _interpolations() | _warps() | _frames() | _passes() | _deep()
CASES["motion_blur, high"] = END_CASES.pop("motion_blur, high")  # is asked for its launches
MASK_CASES = _moves() | _warps() | {f"{fit}, masks": {"fit": fit} for fit in ("cover", "contain", "stretch")}


def render_images(fields: dict, executor: Executor, count: int = 0, start: int = 0) -> np.ndarray:
    """A case's pixels; with `count`, of that many samples only."""
    stream = _stream(fields, executor)
    with ThreadPoolExecutor(2) as workers:
        body = stream.produce(0, start, count or len(_SOURCES), 0, workers, lambda: None)
    return parse(body.buffer)[0]["image"]


def masks(fields: dict, executor: Executor) -> np.ndarray:
    """A case's masks, without its images."""
    plan, sizes = _stream(fields, executor).plan, [image.shape[:2] for image in _SOURCES]
    draws = plan.draw(3, Address(np.arange(len(_SOURCES)), 0, 0))
    cameras = [plan.cameras(part, draws, sizes if part.fits else [SIZE] * len(sizes)) for part in plan.passes]
    moves = [(camera, part.padding or EDGE) for camera, part in zip(cameras, plan.passes, strict=True) if camera]
    out = np.empty((len(_SOURCES), *SIZE), np.uint8)
    executor.move_masks([image[..., 0] // 8 for image in _SOURCES], moves, out, lambda: None)
    return out


def _stream(fields: dict, executor: Executor) -> Stream:
    fields = dict(fields)
    is_deep = fields.pop("deep", False)
    images = [image.astype(np.uint16) * 256 - image // 2 if is_deep else image for image in _SOURCES]
    samples = [Sample(image, 0, key=("deep grid" if is_deep else "grid", k)) for k, image in enumerate(images)]
    if fields.pop("labels", False):
        samples = [_with_labels(sample) for sample in samples]
    source = ListSource(samples, _COLORS)
    if is_deep:
        source.info = replace(source.info, window=(0.0, 65280.0))
    spec = validate_spec({"dataset": "list", "size": list(SIZE), "shuffle": False, "aug_seed": 3, **fields})
    return Stream.open(spec, source, executor)


def _with_labels(sample: Sample) -> Sample:
    """With a mask, a box of most of the image, and two keypoints in it, for the frames that look at them."""
    height, width = sample.image.shape[:2]
    box = np.array([[0.2 * width, 0.1 * height, 0.9 * width, 0.9 * height]], np.float32)
    return replace(
        sample,
        mask=sample.image[..., 0] // 86,
        boxes=box,
        box_labels=np.zeros(1, np.int64),
        boxes_valid=np.ones(1, bool),
        keypoints=box.reshape(2, 2),
        keypoints_valid=np.ones(2, bool),
    )
