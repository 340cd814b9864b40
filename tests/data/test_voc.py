"""Pascal VOC: boxes from 1 on, difficult objects, lists of splits, masks with palettes, and damaged files."""

import numpy as np
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.voc import VocSettings
from augsvc.errors import Undecodable


def item(name="cat", corners=(1, 1, 60, 40), fields=""):
    box = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{fields}<bndbox>{box}</bndbox></object>"


def xml(*items, size="<size><width>60</width><height>40</height><depth>3</depth></size>"):
    return f"<annotation><filename>x.jpg</filename>{size}{''.join(items)}</annotation>"


def write(root, name, contents, images="JPEGImages", annotations="Annotations"):
    for folder in (images, annotations):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40), (9, 9, 9)).save(root / images / f"{name}.jpg")
    (root / annotations / f"{name}.xml").write_text(contents, encoding="utf-8")


def write_list(root, split, names, kind="Main"):
    (root / "ImageSets" / kind).mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / kind / f"{split}.txt").write_text(names)


def opened(root, **options):
    return VocSettings(format="voc", path=root, **options).open("pascal", DecodedCache(0))


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'pascal'") as refused:
        opened(root, **options)
    return str(refused.value)


def test_the_first_pixel_is_1_and_the_last_belongs_to_the_box(tmp_path):
    write(tmp_path, "a", xml(item(), item("dog", (11, 5.5, 20, 10))))
    write(tmp_path, "b", xml())
    (source,) = opened(tmp_path)
    assert (source.info.name, source.info.classes) == ("pascal", ("cat", "dog"))
    assert source.read(0).boxes.tolist() == [[0, 0, 60, 40], [10, 4.5, 20, 10]]
    assert source.read(0).box_labels.tolist() == [0, 1]
    assert not source.read(1).boxes_valid.any()
    (source,) = opened(tmp_path, one_based=False)
    assert source.read(0).boxes.tolist() == [[1, 1, 60, 40], [11, 5.5, 20, 10]]


def test_difficult_objects_are_left_out_and_counted(tmp_path):
    write(tmp_path, "a", xml(item(), item("dog", fields="<difficult>1</difficult><pose>Left</pose>")))
    (source,) = opened(tmp_path)
    assert source.read(0).boxes_valid.tolist() == [True]
    assert "1 objects are marked difficult" in "\n".join(source.notes())
    (source,) = opened(tmp_path, difficult=True)
    assert source.read(0).box_labels.tolist() == [0, 1]


def test_lists_make_splits(tmp_path):
    for name in ("a", "b", "c", "b\u2028d"):
        write(tmp_path, name, xml(item()))
    write_list(tmp_path, "train", "c\r\na\t1\n")
    write_list(tmp_path, "val", "b  -1\nb\u2028d 1\n\n")
    write_list(tmp_path, "trainval", "a\nb\nc\n")
    sources = opened(tmp_path)
    assert [source.info.name for source in sources] == ["pascal/train", "pascal/val"]
    assert [sources[0].describe(index) for index in range(2)] == ["JPEGImages/a.jpg", "JPEGImages/c.jpg"]
    assert list(sources[1].describe_all()) == ["JPEGImages/b.jpg", "JPEGImages/b\u2028d.jpg"]
    write_list(tmp_path, "val", "d\n")
    assert "1 images are missing" in refusal(tmp_path)
    write_list(tmp_path, "val", "../b\n")
    assert "'../b'" in refusal(tmp_path)


def test_folders_of_splits_with_files_beside_the_images(tmp_path):
    write(tmp_path, "a", xml(item()), "train", "train")
    write(tmp_path, "b", xml(item("dog")), "valid", "valid")
    sources = opened(tmp_path)
    assert [source.info.name for source in sources] == ["pascal/train", "pascal/val"]
    assert [source.info.classes for source in sources] == [("cat", "dog")] * 2  # of all splits


def test_masks_with_a_palette(tmp_path):
    values = np.zeros((40, 60), np.uint8)
    values[5:20, 5:20], values[20, 20] = 15, 255
    write(tmp_path, "a", xml(item()))
    (tmp_path / "SegmentationClass").mkdir()
    image = Image.fromarray(values, mode="P")
    image.putpalette(bytes(range(256)) * 3)
    image.save(tmp_path / "SegmentationClass" / "a.png")
    write_list(tmp_path, "train", "a\n", "Segmentation")
    (source,) = opened(tmp_path, masks=True)
    np.testing.assert_array_equal(source.read(0).mask, values)
    assert source.read(0).boxes.tolist() == [[0, 0, 60, 40]]
    (tmp_path / "SegmentationClass" / "a.png").unlink()
    assert "SegmentationClass/a.png" in refusal(tmp_path, masks=True)


def test_classes_of_the_settings(tmp_path):
    write(tmp_path, "a", xml(item("dog")))
    (source,) = opened(tmp_path, classes=["person", "dog"])
    assert source.read(0).box_labels.tolist() == [1]
    assert "dog" in refusal(tmp_path, classes=["cat"])


def test_boxes_beyond_the_image_and_sizes(tmp_path):
    write(tmp_path, "a", xml(item(corners=(50, 30, 70, 50)), item(corners=(5, 5, 4, 9))))
    (source,) = opened(tmp_path)
    assert source.read(0).boxes[source.read(0).boxes_valid].tolist() == [[49, 29, 60, 40]]
    notes = "\n".join(source.notes())
    assert "1 boxes reach beyond" in notes and "1 boxes without area" in notes
    write(tmp_path, "a", xml(item(), size="<size><width>40</width><height>60</height></size>"))
    with pytest.raises(Undecodable, match="the image is 60 × 40, its annotation is for 40 × 60"):
        opened(tmp_path)[0].read(0)
    for size in ("", "<size><width>0</width><height>0</height></size>"):
        write(tmp_path, "a", xml(item(), size=size))
        assert opened(tmp_path)[0].read(0).boxes.tolist() == [[0, 0, 60, 40]]


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("", "no XML"),
        (xml(item())[:-5], "no XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declarations"),
        ("\0".join("<!DOCTYPE a><annotation/>"), "UTF-8"),
        (xml(item(name="")), "no `name`"),
        (xml("<object><name>cat</name></object>"), "no `xmin`"),
        (xml(item(corners=("x", 1, 2, 3))), "`xmin` is no number: 'x'"),
        (xml(item(corners=("nan", 1, 2, 3))), "`xmin` is no number"),
        (xml(size="<size><width>w</width><height>1</height></size>"), "`width` is no number"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, contents, message):
    write(tmp_path, "a", contents)
    refused = refusal(tmp_path)
    assert message in refused
    assert "Annotations/a.xml" in refused


def test_all_damaged_files_are_named_together(tmp_path):
    for name, contents in (("a", ""), ("b", xml(item())), ("c", xml(item(name=""))), ("d", xml(item("dog")))):
        write(tmp_path, name, contents)
    write_list(tmp_path, "train", "a\nb\nc\n")
    write_list(tmp_path, "val", "d\nmissing\n")
    (tmp_path / "Annotations" / "missing.xml").write_text(xml(item()))
    lines = refusal(tmp_path, classes=["cat"]).split("\n")
    expected = [
        "a.xml: it is no XML",
        "c.xml: an object has no `name`",
        "1 images are missing",
        "objects are named dog",
    ]
    assert all(text in line for text, line in zip(expected, lines, strict=True))


def test_what_is_missing_or_leads_out(tmp_path):
    (tmp_path / "set").mkdir()
    assert "neither Annotations" in refusal(tmp_path / "set")
    write(tmp_path / "set", "a", xml(item()))
    (tmp_path / "set" / "JPEGImages" / "a.png").write_bytes(b"")
    assert "differ only in their extension" in refusal(tmp_path / "set")
    (tmp_path / "set" / "JPEGImages" / "a.png").unlink()
    (tmp_path / "set" / "Annotations" / "a.xml").rename(tmp_path / "a.xml")
    (tmp_path / "set" / "Annotations" / "a.xml").symlink_to(tmp_path / "a.xml")
    assert "follow_links" in refusal(tmp_path / "set")


def test_the_version_covers_the_contents_of_masks(tmp_path):
    write(tmp_path, "a", xml(item()))
    write_list(tmp_path, "train", "a\n", "Segmentation")
    (tmp_path / "SegmentationClass").mkdir()
    mask = tmp_path / "SegmentationClass" / "a.png"
    versions, sizes = set(), set()
    for value in (1, 2):
        Image.fromarray(np.full((40, 60), value, np.uint8)).save(mask, compress_level=0)
        sizes.add(mask.stat().st_size)
        versions.add(opened(tmp_path, masks=True)[0].info.version)
    assert (len(sizes), len(versions)) == (1, 2)


def test_images_without_an_xml_file_are_named(tmp_path):
    write(tmp_path, "1", "<annotation/>")
    Image.new("RGB", (60, 40)).save(tmp_path / "JPEGImages" / "2.png")
    (source,) = opened(tmp_path, classes=["cat"])
    assert len(source) == 1 and "1 images have no XML file and are left out: JPEGImages/2.png" in "\n".join(
        source.notes()
    )
    write_list(tmp_path, "train", "1\n")  # which says what is served
    assert "no XML file" not in "\n".join(opened(tmp_path, classes=["cat"])[0].notes())
