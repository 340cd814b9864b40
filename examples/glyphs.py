"""Letters A to J in hundreds of typefaces as an image folder, from Debian's font packages (34 MB of downloads, no installation).

    apt-get download → TrueType and OpenType files → one 48 × 48 PNG per family and letter → OUT/{train,val,test}/{A … J}/

    python examples/glyphs.py --out glyphs-data
    echo 'datasets: {glyphs: {format: image_folder, path: glyphs-data}}' > settings.yaml
    augsvc serve --config settings.yaml

Families are disjoint between the splits: all fonts of a package are in one split, and of the large collections (`COLLECTIONS`)
all fonts whose names begin alike. OUT/LICENCES.txt names the licences of each package; the images are not part of this
repository. Needs a Debian system with `deb` sources.
"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image, ImageDraw, ImageFont

LETTERS = "ABCDEFGHIJ"
SIDE = 48  # pixels
_HEIGHT = 32  # of the capital H in pixels; wide letters are shrunk to fit
_MARGIN = 3
_SPLITS = ("train",) * 5 + ("val",) * 2 + ("test",) * 3  # by a hash of the group
COLLECTIONS = (
    "fonts-aenigma",
    "fonts-dustin",
    "fonts-georgewilliams",
    "fonts-sjfonts",
    "fonts-urw-base35",
    "fonts-bwht",
)
_OTHERS = """
adf-accanthis adf-baskervald adf-berenis adf-gillius adf-ikarius adf-irianis adf-libris adf-mekanus adf-oldania adf-romande
adf-solothurn adf-switzera adf-tribun adf-universalis adf-verana allerta anonymous-pro arapey averia-gwf averia-sans-gwf
averia-serif-gwf b612 bajaderka bebas-neue beteckna blankenburg breip cabin cabinsketch cantarell cardo century-catalogue
clear-sans comfortaa comic-neue courier-prime dancingscript dejavu-core dkg-handwriting dosis ecolier-court engadget
essays1743 eurofurence fantasma femkeklaver ferrite-core gamaliel gnutypewriter go gotico-antiqua goudybookletter havana
humor-sans isabella joscelyn junction jura kaushanscript klaudia-berenika kristi league-spartan leckerli-one levien-museum
levien-typoscript lindenhill linuxlibertine lobster monofur national-park ocr-a ocr-b okolaks oldstandard opendin opendyslexic
osifont play prociono quattrocento quicksand radisnoir routed-gothic rufscript staypuft summersby tiresias tomsontalks tuffy
ubuntu-title vollkorn yanone-kaffeesatz
"""
PACKAGES = (*COLLECTIONS, *(f"fonts-{name}" for name in _OTHERS.split()))


def main(
    out: Annotated[Path, typer.Option(help="Folder for the images.", file_okay=False)] = Path("glyphs-data"),
) -> None:
    """Download the packages, render the letters and write the licences."""
    out.mkdir(parents=True, exist_ok=True)
    licences, counts = [], dict.fromkeys(_SPLITS, 0)
    with TemporaryDirectory() as work:
        subprocess.run(["apt-get", "download", "--quiet", *PACKAGES], cwd=work, check=True)
        for archive in sorted(Path(work).glob("*.deb")):
            package = archive.name.partition("_")[0]
            folder = Path(work, package)
            subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)
            licences.append(f"{archive.stem}: {', '.join(read_licences(folder, package))}")
            for split, name, font in list_families(folder, package):
                if draw_letters(font, name, out / split):
                    counts[split] += 1
    (out / "LICENCES.txt").write_text("\n".join(licences) + "\n", encoding="utf-8")
    print(f"{out}: {', '.join(f'{count} families in {split}' for split, count in counts.items())}")


def list_families(folder: Path, package: str) -> Iterator[tuple[str, str, Path]]:
    """The split, a file name and a font file of each family in an unpacked package."""
    families: dict[str, Path] = {}
    for path in sorted((*folder.rglob("*.[to]tf"), *folder.rglob("*.[TO]TF"))):
        try:
            family, style = ImageFont.truetype(path, 20).getname()
        except OSError:  # a damaged font
            continue
        key = re.sub(r"[^a-z0-9]+", "-", (family or path.stem).lower()).strip("-")
        if key not in families or style == "Regular":
            families[key] = path
    for key, path in families.items():
        group = f"{package}/{key.split('-')[0][:5]}" if package in COLLECTIONS else package
        yield _SPLITS[blake2b(group.encode(), digest_size=1).digest()[0] % len(_SPLITS)], f"{package}-{key}", path


def draw_letters(path: Path, name: str, folder: Path) -> bool:
    """Write the letters of a font to `folder`/LETTER/`name`.png; whether it has ten different letters."""
    try:
        tiles = [render_letter(path, letter) for letter in LETTERS]
    except OSError:  # FreeType refuses some sizes of bitmap fonts
        return False
    if len({tile.tobytes() for tile in tiles}) < len(LETTERS) or any(tile.getextrema()[0] > 128 for tile in tiles):
        return False
    for letter, tile in zip(LETTERS, tiles, strict=True):
        (folder / letter).mkdir(parents=True, exist_ok=True)
        tile.save(folder / letter / f"{name}.png")
    return True


def render_letter(path: Path, letter: str) -> Image.Image:
    """Black on white, centred, with the capital H `_HEIGHT` pixels high; raises OSError for a font that cannot be drawn."""
    probe = ImageFont.truetype(path, 100).getbbox("H")
    font = ImageFont.truetype(path, max(8, round(100 * _HEIGHT / max(1, probe[3] - probe[1]))))
    left, top, right, bottom = font.getbbox(letter)
    canvas = Image.new("L", (max(1, round(right - left)) + 2, max(1, round(bottom - top)) + 2), 255)
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), letter, font=font, fill=0)
    canvas.thumbnail((SIDE - 2 * _MARGIN, SIDE - 2 * _MARGIN))
    tile = Image.new("L", (SIDE, SIDE), 255)
    tile.paste(canvas, ((SIDE - canvas.width) // 2, (SIDE - canvas.height) // 2))
    return tile


def read_licences(folder: Path, package: str) -> Sequence[str]:
    """The short names of the licences in a package's copyright file."""
    text = (folder / "usr/share/doc" / package / "copyright").read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"^License: *(\S.*)$", text, re.MULTILINE)
    return sorted(set(names)) or ["see its copyright file"]


if __name__ == "__main__":
    typer.run(main)
