"""The page of `augsvc datasets inspect`: one HTML file with small images, without external files or scripts."""

import base64
import io
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np
from PIL import Image

from augsvc.cli.inspected import INSPECTED
from augsvc.data.fit import to_levels
from augsvc.data.inspection import Copy, Inspection, Split
from augsvc.data.source import Source
from augsvc.errors import AugsvcError, Undecodable
from augsvc_client.text import printable

THUMBNAIL = 96  # pixels of the longer side
MOST_CLASSES = 24  # with images and bars
MOST_COPIES = 24  # of each kind
_PER_CLASS = 6
_PER_COPY = 6

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #4a7ebb; --warn: #c0392b }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
table { border-collapse: collapse } td, th { text-align: left; padding: .15rem .8rem .15rem 0; vertical-align: middle }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.bar { display: inline-block; height: .8rem; background: var(--bar); border-radius: 2px }
figure { display: inline-block; margin: .3rem .6rem .3rem 0; max-width: 11rem; vertical-align: top }
figure img { display: block; outline: 1px solid var(--line) }
figcaption { font-size: .75rem; overflow-wrap: anywhere; opacity: .75 }
.copy { border-left: 3px solid var(--line); padding-left: .8rem; margin: .8rem 0 } .conflict { border-color: var(--warn) }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2rem } .facts b { display: block; font-size: 1.4rem }
"""


def render_page(name: str, inspection: Inspection) -> str:
    """The page; reads the samples that it shows again."""
    title = f"Dataset {_text(name)}"
    body = "".join(_sections(inspection))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><h1>{title}</h1>{body}</body></html>\n"
    )


def _sections(inspection: Inspection) -> Iterator[str]:
    leaks = sum(copy.is_leak for copy in (*inspection.equal, *inspection.near))
    conflicts = sum(copy.is_conflict for copy in (*inspection.equal, *inspection.near))
    facts = {
        "samples": sum(len(split.source) for split in inspection.splits),
        "undecodable": sum(len(split.undecodable) for split in inspection.splits),
        "groups of equal images": len(inspection.equal),
        "near duplicates": len(inspection.near),
        "leaks between splits": leaks,
        "copies with different classes": conflicts,
    }
    yield f'<div class="facts">{"".join(f"<span><b>{n:,}</b>{label}</span>" for label, n in facts.items())}</div>'
    for split in inspection.splits:
        yield from _split_section(split)
    for title, copies in (("Equal pixels", inspection.equal), ("Nearly equal", inspection.near)):
        yield from _copies_section(title, copies, inspection)


def _split_section(split: Split) -> Iterator[str]:
    source, info = split.source, split.source.info
    yield f"<h2>{_text(info.name)}</h2><p>{len(source):,} samples, version <code>{info.version[:12]}</code></p>"
    sizes = split.decoded
    if len(sizes) and INSPECTED[info.media].is_shown:
        yield "<h3>Sizes</h3>" + _bars(_side_counts(sizes))
        colors = "".join(
            f'<tr><td>channel {k}</td><td class="number">{mean:.4f}</td><td class="number">{std:.4f}</td></tr>'
            for k, (mean, std) in enumerate(zip(split.mean, split.std, strict=True))
        )
        yield f"<h3>Colours on [0, 1]</h3><table><tr><th></th><th>mean</th><th>deviation</th></tr>{colors}</table>"
    if len(split.counts):
        order = np.argsort(-split.counts, kind="stable")[:MOST_CLASSES].tolist()
        more = f" The first {MOST_CLASSES} of {len(split.counts):,}." if len(split.counts) > MOST_CLASSES else ""
        yield f"<h3>Classes</h3><p>Largest over smallest: {split.imbalance:.1f}.{more}</p>"
        yield _bars([(info.classes[k], int(split.counts[k])) for k in order])
        yield from _class_images(split, order)
    if split.undecodable:
        rows = "".join(
            f"<tr><td>{_text(source.describe(index))}</td><td>{_text(reason)}</td></tr>"
            for index, reason in split.undecodable[:200]
        )
        yield f"<h3>Undecodable ({len(split.undecodable):,})</h3><table>{rows}</table>"


def _side_counts(sizes: np.ndarray) -> list[tuple[str, int]]:
    """How many samples have a shorter side in each of at most 12 ranges of equal width."""
    sides = sizes.min(axis=1)
    low, high = int(sides.min()), int(sides.max())
    width = -(-(high - low + 1) // 12)
    counts = np.bincount((sides - low) // width).tolist()
    return [
        (f"{low + k * width} px" if width == 1 else f"{low + k * width} to {low + (k + 1) * width - 1} px", count)
        for k, count in enumerate(counts)
        if count
    ]


def _bars(counts: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in counts), default=0) or 1
    rows = "".join(
        f'<tr><td>{_text(label)}</td><td class="number">{count:,}</td>'
        f'<td><span class="bar" style="width:{20 * count / most:.2f}rem"></span></td></tr>'
        for label, count in counts
    )
    return f"<table>{rows}</table>"


def _class_images(split: Split, order: Sequence[int]) -> Iterator[str]:
    if not INSPECTED[split.source.info.media].is_shown:
        return
    labels = split.source.labels()
    for label in order:
        indices = [int(index) for index in np.flatnonzero((labels == label) & (split.sizes[:, 0] > 0))[:_PER_CLASS]]
        if indices:
            images = "".join(_figure(split.source, index) for index in indices)
            yield f"<h4>{_text(split.source.info.classes[label])}</h4><div>{images}</div>"


def _copies_section(title: str, copies: Sequence[Copy], inspection: Inspection) -> Iterator[str]:
    if not copies:
        return
    yield f"<h2>{title} ({len(copies):,})</h2>"
    for copy in sorted(copies, key=lambda copy: (not copy.is_leak, not copy.is_conflict))[:MOST_COPIES]:
        marks = ["in several splits"] * copy.is_leak + ["with different classes"] * copy.is_conflict
        marks += [f"{copy.bits} of 128 bits differ"] if copy.bits else []
        marks += [f"{len(copy.samples)} samples"]
        images = "".join(
            _figure(inspection.splits[split].source, index, with_split=len(inspection.splits) > 1)
            for split, index in copy.samples[:_PER_COPY]
        )
        yield f'<div class="copy{" conflict" * copy.is_conflict}"><p>{", ".join(marks)}</p>{images}</div>'


def _figure(source: Source, index: int, with_split: bool = False) -> str:
    label = int(source.labels()[index]) if with_split else -1
    where = f"{source.info.name}: " if with_split else ""
    kind = f" ({source.info.classes[label]})" if label >= 0 and source.info.classes else ""
    return f"<figure>{_thumbnail(source, index)}<figcaption>{_text(where + source.describe(index) + kind)}</figcaption></figure>"


def _thumbnail(source: Source, index: int) -> str:
    """A sample as an <img>, small ones enlarged; empty if it cannot be read any more, or is a clip."""
    try:
        pixels = source.read(index).image
    except (Undecodable, AugsvcError):
        return ""
    if pixels is None:
        return ""
    levels = to_levels(pixels)
    image = Image.fromarray(levels if levels.shape[2] == 3 else levels[..., 0])
    scale = THUMBNAIL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "PNG" if scale > 1 else "JPEG")
    kind = "png" if scale > 1 else "jpeg"
    encoded = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" width="{size[0]}" height="{size[1]}" src="data:image/{kind};base64,{encoded}">'


def _text(text: str) -> str:
    """Foreign text for the page."""
    return escape(printable(text))
