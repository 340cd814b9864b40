"""How images get their canvas: resizes and crops of a transform become one frame, or the stream's `fit`.

A pipeline has at most one frame, which comes first, so resizes wait for the crop that follows them.
"""

from dataclasses import dataclass, field, replace

from augsvc.importing.parameters import Range, Refused
from augsvc.importing.steps import validated
from augsvc.ops.operation import Settings

Size = tuple[int, int]  # H, W
_UNBOUNDED = 16384  # pixels, for a side that is not limited
_SCALES = (0.01, 1.0)
_ONE_CANVAS = "images of many sizes leave it, and a stream has one canvas: add a CenterCrop or RandomCrop after it"


@dataclass(slots=True)
class Framing:
    """The frame so far. `size` is that of the images at this point, None while it depends on the source."""

    size: Size | None = None
    fit: str | None = None
    frame: dict[str, object] | None = None
    moves: list[dict[str, object]] = field(default_factory=list)  # crops of a canvas that `fit` makes
    pending: dict[str, object] | None = None  # a resize that needs a crop
    differences: list[str] = field(default_factory=list)  # of the step that is being added

    @property
    def steps(self) -> list[Settings]:
        """The frame, and the moves that stand for crops after a resize to a size."""
        return [*([self.frame] if self.frame else []), *self.moves]

    def copy(self) -> "Framing":
        """The same state, to return to."""
        return replace(self, moves=list(self.moves))

    def require_complete(self) -> None:
        """Refuses a resize whose results have many sizes."""
        if self.pending is not None:
            raise Refused(_ONE_CANVAS)

    def require_size(self, reason: str) -> Size:
        """The size of the images at this point."""
        if self.size is None:
            raise Refused(
                f"{reason} is in pixels of images whose size is not known here: give it as --size HEIGHTxWIDTH"
            )
        return self.size

    def wait_for_crop(self, step: dict[str, object]) -> None:
        """A resize to a side, or another frame whose canvas the next step names."""
        if self.pending is not None or self.frame is not None or self.fit is not None:
            raise Refused("a second resize: a pipeline has one frame; remove one of them")
        self.pending, self.size = validated(step), None

    def resize(self, size: Size, interpolation: Settings) -> None:
        """A resize to a size, whatever the aspect ratio."""
        waiting, self.pending = self.pending, None
        if waiting is None and self.frame is None and interpolation:
            self.frame = validated({"op": "zoom_out", "side": 1.0, **interpolation})
            self.size = size
            return
        if waiting is not None and waiting["op"] in ("zoom_out", "iou_crop"):
            self.frame = validated({**waiting, **interpolation})
            self.fit = "stretch"
        elif waiting is not None:
            if interpolation:
                self.frame = validated({"op": "zoom_out", "side": 1.0, **interpolation})
            self.differences.append("resizes the source directly, without the resize before it")
            self.fit = "stretch"
        elif self.frame is not None and self.frame["op"] == "random_resized_crop":
            self.differences.append("the crop is resized directly to this size")
        elif self.frame is None:
            self.fit = "stretch"
        elif self.size != size:
            raise Refused(
                "a resize after a crop: a pipeline has one frame; crop to the last size, or use random_resized_crop"
            )
        self.size = size

    def random_resized_crop(self, size: Size, scale: Range, ratio: Range, interpolation: Settings) -> None:
        """A random area of the source."""
        if self.fit is not None or self.frame is not None:
            raise Refused("a crop of a random size after a crop or a resize to both sides; remove the one before it")
        if self.pending is not None:
            self.differences.append("crops the source itself, not the resized image: the same areas, sharper")
        self.pending, self.size = None, size
        self.frame = validated({"op": "random_resized_crop", "scale": scale, "ratio": ratio, **interpolation})

    def center_crop(self, size: Size, border: str = "constant", fill: object = 0.0) -> None:
        """A crop of the middle; a smaller image gets a border."""
        before = self.frame
        self._crop(size, None)
        if self.frame is not None and self.frame is not before and (border, fill) != ("constant", 0.0):
            self.frame = validated({**self.frame, "border": border, "fill": fill})

    def random_crop(self, size: Size, padding: int = 0, border: str = "constant", fill: object = 0.0) -> None:
        """A crop at a random place, after padding each side."""
        self._crop(size, {"op": "random_crop", "padding": padding, "border": border, "fill": fill})

    def fill_masks(self, settings: Settings) -> None:
        """Gives what was added last the class of masks outside the image, if it has a constant border."""
        if not settings:
            return
        if self.pending is not None:
            self.pending = validated({**self.pending, **settings})
        elif self.moves and self.moves[-1]["border"] == "constant":
            self.moves[-1] = validated({**self.moves[-1], **settings})
        elif self.frame is not None:
            self.frame = validated({**self.frame, **settings})

    def pad_to(self, size: Size, border: str, fill: object) -> None:
        """A centred pad of images that are no larger: those of a resize of the longest side."""
        waiting = self.pending
        if waiting is None and self.size == size:
            return
        if waiting is None or waiting["op"] != "resize" or waiting["side"] != "longest":
            raise Refused("pads images whose size is not known: put a resize of the longest side before it")
        if int(str(waiting["pixels"])) > min(size):
            raise Refused("images may be larger than the size it pads to; a frame crops them")
        self.pending, self.size = None, size
        self.frame = validated({**waiting, "border": border, "fill": fill})

    def _crop(self, size: Size, random: dict[str, object] | None) -> None:
        waiting, self.pending = self.pending, None
        if self.frame is None and self.fit is None:
            self.frame = validated(self._crop_of_source(waiting, random))
        elif random is not None and random["padding"]:
            self._shift(size, random)
        elif self.size != size:
            self._crop_of_canvas(size, random is not None)
        self.size = size

    def _crop_of_source(self, waiting: dict[str, object] | None, random: dict[str, object] | None) -> dict[str, object]:
        if waiting is None:
            return random or {"op": "center_crop"}
        if waiting["op"] != "resize" and (random is None or waiting["op"] != "scale_jitter"):
            raise Refused(f"a crop after {waiting['op']}: a pipeline has one frame; resize to one size after it")
        if random is None:
            return waiting
        if random["padding"]:
            raise Refused("pads a resized image of many sizes; crop it to one size first, or leave the padding out")
        if waiting["op"] == "scale_jitter":
            return waiting | {"border": random["border"], "fill": random["fill"]}
        pixels = int(str(waiting["pixels"]))
        base = [_UNBOUNDED, pixels] if waiting["side"] == "shortest" else [pixels, pixels]
        resized = {"op": "scale_jitter", "scale": 1.0, "base": base, "border": random["border"], "fill": random["fill"]}
        return resized | {name: waiting[name] for name in ("interpolation",) if name in waiting}

    def _shift(self, size: Size, random: dict[str, object]) -> None:
        """Padding and a crop to the same size: a shift by up to `padding` pixels."""
        if self.size != size or self.frame is not None:
            raise Refused("a crop with padding after another crop; a pipeline has one frame")
        pixels = int(str(random["padding"]))
        limits = [-pixels, pixels]
        step = {"op": "translate", "x": 0.0, "y": 0.0, "x_pixels": limits, "y_pixels": limits}
        fill = {"fill": random["fill"]} if random["border"] == "constant" else {}
        self.moves.append(validated({**step, "border": random["border"], **fill}))
        self.differences.append("shifts by fractions of a pixel, not by whole pixels")

    def _crop_of_canvas(self, size: Size, is_random: bool) -> None:
        """A crop of an image that `fit: stretch` makes: the canvas is the crop, and the image is enlarged to show past it."""
        if self.frame is not None or self.size is None:
            raise Refused("a second crop: a pipeline has one frame; crop to the last size only")
        before = self.size
        if before[0] * size[1] != before[1] * size[0] or before < size:
            raise Refused("a crop of another shape after a resize to both sides: resize the shortest side instead")
        zoom = before[0] / size[0]
        if is_random:
            self.differences.append("shifts by fractions of a pixel, not by whole pixels")
        reach = (zoom - 1.0) / 2.0 if is_random else 0.0
        limits = [float(f"{-reach:.9g}"), float(f"{reach:.9g}")]
        step = {
            "op": "affine",
            "degrees": 0.0,
            "translate_x": limits,
            "translate_y": limits,
            "scale": float(f"{zoom:.9g}"),
        }
        self.moves.append(validated({**step, "shear_x": 0.0, "shear_y": 0.0, "border": "edge"}))
