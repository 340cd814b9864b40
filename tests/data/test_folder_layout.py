"""What folders are taken for: splits, classes, leftovers of systems and storage, or nothing that can be served."""

import os

import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.data.formats.dataset_root import DatasetRoot
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.data.formats.index import MAX_DEPTH, note_twins
from augsvc.data.formats.layout import split_of
from tests.data.sounds import VALID


@pytest.fixture
def write(tmp_path):
    """Writes images by their names below `pets`, and folders where a name ends in a slash."""

    def write(*names):
        for name in names:
            path = tmp_path / "pets" / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path, "PNG")
        return tmp_path / "pets"

    return write


def opened(root, **options):
    settings = ImageFolderSettings(format="image_folder", path=root, **options)
    return open_image_folder("pets", settings, DecodedCache(0), lambda _: None)


def shape(sources):
    return {source.info.name: (source.info.classes, len(source)) for source in sources}


# --- splits


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (["train", "val"], ["train", "val"]),
        (["train", "test"], ["train", "test"]),
        (["train", "val", "test"], ["train", "val", "test"]),
        (["Training", "Validation", "Testing"], ["train", "val", "test"]),
        (["TRAIN", "valid"], ["train", "val"]),
        (["train", "dev", "test"], ["train", "val", "test"]),
        (["train", "eval"], ["train", "val"]),
        (["training_set", "test_set"], ["train", "test"]),
        (["train2017", "val2017"], ["train", "val"]),
        (["train"], ["train"]),
        (["test"], ["test"]),
        (["validation"], ["val"]),
        (["train", "val", "annotations"], ["train", "val"]),
    ],
)
def test_known_names_are_splits(write, folders, splits):
    root = write(*(f"{folder}/{label}/1.png" for folder in folders for label in ("cat", "dog")))
    assert shape(opened(root)) == {f"pets/{split}": (("cat", "dog"), 2) for split in splits}


def test_splits_of_sounds_too(tmp_path):
    for name in ("train/owl/a.wav", "valid/owl/a.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(VALID["wav-16"])
    settings = AudioFolderSettings(format="audio_folder", path=tmp_path)
    sources = open_audio_folder("calls", settings, DecodedCache(0), lambda _: None)
    assert shape(sources) == {"calls/train": (("owl",), 1), "calls/val": (("owl",), 1)}


@pytest.mark.parametrize(
    "name", ["trainer", "trains", "tested", "evaluate_me", "value", "devon", "contest", "attest", "1"]
)
def test_other_names_are_not(name):
    assert split_of(name) is None


def test_a_vehicle_named_train_is_a_class(write):
    root = write("bus/1.png", "train/1.png", "tram/1.png")
    assert shape(opened(root)) == {"pets": (("bus", "train", "tram"), 3)}


def test_the_classes_of_all_splits_agree_and_the_difference_is_named(write):
    root = write("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/\x1bcow/1.png")
    with pytest.raises(ValueError, match=r"different classes in train and val .*dog.*only in val: \\x1bcow"):
        opened(root)


@pytest.mark.parametrize(
    ("names", "links", "messages"),
    [
        (
            [
                "images/1.png",
                "masks/1.png",
                "_x/1.png",
                "cat/1.png",
                "cat/1_mask.png",
                "dog/dev/1.png",
                "dog/test/2.png",
            ],
            ["cat/out", "dog/out.png"],
            [
                "which are no classes",
                "has '_x' among the classes",
                "cat/out is a link",
                "dog/out.png is a link",
                "dog holds 'dev', 'test'",
                "cat/1_mask.png is named like the label of another sample",
            ],
        ),
        (
            ["train/cat/1.png", "train/_x/1.png", "val/cow/1.png", "test/cat/1.png"],
            ["val/cow/out.png"],
            [
                "train has '_x' among",
                "val/cow/out.png is a link",
                "classes in train and val",
                "classes in train and test",
            ],
        ),
        (
            ["train/cat/1.png", "val/cat/1.png", "valid/cat/1.png", "test/cat/1.png", "testing/cat/1.png"],
            ["train/cat/out.png"],
            ["each would be the split 'val'", "each would be the split 'test'", "train/cat/out.png is a link"],
        ),
        (["a_train/1.png", "a_val/1.png"], ["a_val/out"], ["named like splits", "a_val/out is a link"]),
    ],
    ids=["of classes", "of splits", "of unclear splits", "of names like splits"],
)
def test_all_faults_of_a_folder_are_named_together(write, names, links, messages):
    root = write(*names)
    for link in links:
        (root / link).symlink_to("/etc")
    with pytest.raises(ValueError, match=r"^dataset 'pets': ") as refused:
        opened(root)
    lines = str(refused.value).split("\n")
    assert len(lines) == len(messages), lines
    assert [text for text, line in zip(messages, lines, strict=True) if text not in line] == []
    assert all(line.startswith("dataset 'pets': ") for line in lines)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/1.png"], r"named like splits, 'train',.*train/CLASS"),
        (["train/1.png", "test/2.png"], r"named like splits, 'test', 'train',.*layout: classes"),
        (["train/cat/1.png", "val/cat/1.png", "valid/cat/1.png"], r"'val', 'valid', and each would be the split 'val'"),
        (["train/cat/1.png", "cat/1.png", "dog/1.png"], r"named like splits, 'train', beside 'cat', 'dog'"),
        (["cat/train/1.png", "cat/val/2.png", "dog/train/3.png"], r"cat holds 'train', 'val': splits go above"),
        (["pets/cat/1.png", "pets/dog/1.png"], r"single sub-folder, 'pets'.*Set `path` to '.*/pets/pets'"),
        (["a/b/train/cat/1.png"], r"Set `path` to '.*/pets/a/b'"),
        (["images/1.png", "masks/1.png"], r"sub-folders 'images', 'masks', which are no classes.*layout: classes"),
        (["JPEGImages/1.png", "SegmentationClass/1.png", "ImageSets/"], r"'JPEGImages'.*which are no classes"),
        (["images/1.png"], r"'images', which are no classes"),
        (["images/train/1.png", "labels/train/1.png"], r"'images', 'labels', which are no classes"),
        (["train/images/1.png", "train/labels/1.png", "val/images/1.png"], r"pets/train has the sub-folders 'images'"),
        (["cat/1.png", "dog/1.png", "annotations/1.xml"], r"'annotations', which are no classes"),
        (["images/cat/1.png", "images/dog/1.png"], r"'images', which are no classes"),
        (
            ["images_train/cat/1.png", "images_test/cat/1.png"],
            r"like splits, 'images_test', 'images_train': name them train",
        ),
        (
            ["seg_train/sea/1.png", "seg_test/sea/1.png", "seg_pred/2.png"],
            r"named like splits, 'seg_test', 'seg_train':",
        ),
        (["train1/1.png", "test1/1.png"], r"named like splits, 'test1', 'train1'"),
        (
            [f"{name}/1.png" for name in ("trainA", "trainB", "testA", "testB")],
            r"like splits, 'testA', 'testB', 'trainA'",
        ),
        (["trainA/1.png", "trainB/1.png"], r"named like splits, 'trainA', 'trainB'"),
        ([f"{name}/1/1.png" for name in ("train-clean-100", "dev-clean", "test-clean")], r"'dev-clean', 'test-clean'"),
        (["train-clean-100/1/1.png", "train-clean-360/1/1.png"], r"like splits, 'train-clean-100', 'train-clean-360'"),
        (
            [f"{name}/1.png" for name in ("bounding_box_train", "bounding_box_test", "query")],
            r"like splits, 'bounding_box",
        ),
        (["VOC trainval/cat/1.png", "VOC test/cat/1.png"], r"named like splits, 'VOC test', 'VOC trainval'"),
        (["imagesTr/1.png", "labelsTr/1.png"], r"'imagesTr', 'labelsTr'"),
        (["imagesTr/1.png", "imagesTs/1.png"], r"named like splits, 'imagesTr', 'imagesTs'"),
        (["train/1.png", "train_masks/1.png"], r"named like splits, 'train', 'train_masks'"),
        (["leftImg8bit/1.png", "gtFine/1.png"], r"'gtFine', 'leftImg8bit', which are no classes"),
        (
            [f"fold{i}/{i}.png" for i in range(1, 11)],
            r"'fold1', 'fold10'.* which are folds.*as in CLASS/fold1",
        ),
        (["fold_1/cat/1.png", "fold_2/cat/1.png"], r"'fold_1', 'fold_2', which are folds"),
        (["train/Fold 1/1.png", "val/Fold 1/1.png"], r"pets/train has the sub-folders 'Fold 1', which are folds"),
        (["_background_noise_/1.png", "yes/1.png", "no/1.png"], r"has '_background_noise_' among the classes: move it"),
        (["train/_noise/1.png", "train/yes/1.png"], r"pets/train has '_noise' among the classes"),
        (
            ["COVID/images/1.png", "COVID/masks/1.png", "Normal/images/2.png"],
            r"pets/COVID holds 'images', 'masks': all",
        ),
        (["cat/7/img/1.png", "cat/7/label/1.png", "dog/1.png"], r"pets/cat/7 holds 'img', 'label': all would be"),
        (
            ["cat/1.png", "cat/masks/1.png", "dog/1.png"],
            r"pets/cat/masks/1.png is named like the label of another sample",
        ),
        (["cat/a (1).png", "cat/a (1)_mask.png", "dog/1.png"], r"pets/cat/a \(1\)_mask.png is named like the label"),
        (
            ["cat/1/img_train/1.png", "cat/1/img_val/1.png", "dog/1.png"],
            r"pets/cat/1 holds 'img_train', 'img_val': splits",
        ),
    ],
)
def test_what_can_be_no_class_is_refused_with_what_to_write(write, names, message):
    root = write(*names)
    with pytest.raises(ValueError, match=message) as refused:
        opened(root)
    assert str(refused.value).startswith("dataset 'pets': ")


@pytest.mark.parametrize(
    "names",
    [
        ["train/1.png", "test/2.png"],
        ["images/1.png", "masks/1.png"],
        ["trainA/1.png", "testA/1.png"],
        ["fold1/1.png", "fold2/1.png"],
        ["_background_noise_/1.png", "yes/1.png"],
        ["cat/1.png", "cat/1_mask.png"],
        ["train/cat/1.png"],
        ["all/a/1.png", "all/b/1.png"],
    ],
)
def test_the_operator_may_say_that_they_are_classes(write, names):
    (source,) = opened(write(*names), layout="classes")
    assert source.info.classes == tuple(sorted({name.split("/")[0] for name in names}))


@pytest.mark.parametrize(
    "classes",
    [
        ["mask", "no_mask"],
        ["with_mask", "without_mask"],
        ["one"],
        ["test_tube"],
        ["test_tube", "test_strip"],
        ["validator", "trainer"],
        ["train_station", "bus_stop", "bus"],
        ["passenger train", "test car", "bus"],
        ["dev_board", "arduino"],
        ["fold", "crease"],
        ["face_masks", "lamps", "photo_frames"],
        ["depth_high", "depth_low"],
        ["image_blur", "image_sharp"],
        ["_silence_", "_unknown_", "yes"],
        ["_1", "_2"],
    ],
)
def test_names_that_may_be_classes_are(write, classes):
    (source,) = opened(write(*(f"{label}/1.png" for label in classes)))
    assert source.info.classes == tuple(sorted(classes)) and not [*source.faults(), *source.notes()]


@pytest.mark.parametrize("name", ["masks", "labels", "frames", "results", "unlabeled", "Thumbs"])
def test_a_doubtful_class_is_named(write, name):
    root = write("cat/1.png", "dog/1.png", f"{name}/1.png")
    (source,) = opened(root)
    assert list(source.faults()) == [
        f"served as classes: {name}; move what is no class elsewhere, or set `layout: classes`"
    ]
    (source,) = opened(root, layout="classes")
    assert name in source.info.classes and not [*source.faults(), *source.notes()]


def test_a_few_labels_in_a_class_are_samples(write):
    names = [f"cat/{i}.png" for i in range(12)]
    (source,) = opened(write(*names, "cat/1_mask.png", "dog/frames/1.png", "dog/photos/1.png", "dog/from 1920/2.png"))
    assert len(source) == 16


# --- leftovers


@pytest.mark.parametrize(
    "leftover",
    [
        *(
            "__MACOSX",
            "lost+found",
            "$RECYCLE.BIN",
            "System Volume Information",
            "@eaDir",
            "#recycle",
            ".ipynb_checkpoints",
        ),
        *("venv", "node_modules"),
        *("LOST+FOUND", "__pycache__", "Network Trash Folder", "@Recycle", ".Trash-1000", ".Spotlight-V100", ".git"),
    ],
)
def test_leftovers_of_systems_are_no_classes_and_are_counted(write, leftover):
    root = write("cat/1.png", "dog/1.png", f"{leftover}/2.png", f"cat/{leftover}/3.png")
    (source,) = opened(root)
    assert shape([source]) == {"pets": (("cat", "dog"), 2)}
    assert list(source.notes()) == [f"2 hidden or system entries ignored: {leftover} (2)"]


def test_leftover_files_are_counted_by_name_and_apple_double_ones_together(write):
    root = write("cat/1.png", "cat/._1.png", "cat/._2.png", "cat/.DS_Store", "cat/Thumbs.db", "desktop.ini")
    (source,) = opened(root)
    assert len(source) == 1
    (note,) = source.notes()
    assert note.startswith("5 hidden or system entries ignored: ._* (2), ")
    assert {"Thumbs.db (1)", "desktop.ini (1)", ".DS_Store (1)"} <= set(note.split(": ")[1].split(", "))


def test_leftovers_beside_splits_are_no_obstacle(write):
    root = write("train/cat/1.png", "val/cat/1.png", "__MACOSX/train/._1.png", "lost+found/")
    train, val = opened(root)
    assert (train.info.name, val.info.name) == ("pets/train", "pets/val")
    assert list(train.notes()) == ["beside the splits ignored: __MACOSX, lost+found"] and not list(val.notes())


def test_what_is_named_like_an_image_and_is_none_is_named(write):
    root = write("cat/1.png")
    (root / "cat" / "loop.png").symlink_to("loop.png")
    (root / "cat" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(root / "cat" / "pipe.png")
    (source,) = opened(root)
    assert list(source.faults()) == [
        "links that lead nowhere, pipes or sockets ignored: cat/gone.png, cat/loop.png, cat/pipe.png"
    ]


# --- notes for the operator


def test_empty_classes_are_named(write):
    (source,) = opened(write("cat/1.png", "cow/", "e\x1b[2J/"))
    assert source.info.classes == ("cat", "cow", "e\x1b[2J")
    assert next(iter(source.notes())).startswith(r"no images in cow, e\x1b[2J: ")


def test_images_outside_classes_and_twin_names_are_named(write):
    (source,) = opened(write("cat/1.png", "Cat/1.png", "loose.png"))
    (loose,), (twins,) = source.faults(), source.notes()
    assert loose.startswith("images beside the class folders ignored (1)")
    assert twins.endswith(": Cat, cat")


def test_an_unreadable_folder_is_named_and_keeps_its_class(write, monkeypatch):
    """Root may read everything, so the refusal is simulated."""
    root, scandir = write("cat/1.png", "cow/1.png", "dog/a/1.png"), os.scandir

    def refusing(path):
        if str(path).endswith(("cow", "dog/a")):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    (source,) = opened(root)
    assert shape([source]) == {"pets": (("cat", "cow", "dog"), 1)}
    faults = list(source.faults())
    assert [fault.split(" ")[0] for fault in faults] == ["cow", "dog/a"]
    assert "grant it read and search permission" in faults[0]
    monkeypatch.setattr(os, "scandir", lambda path: refusing("cow"))
    with pytest.raises(ValueError, match="may not be read by this user"):
        opened(root)


def test_the_depth_is_bounded(write):
    assert len(opened(write("cat/" + "a/" * MAX_DEPTH + "1.png", "dog/1.png"))[0]) == 2
    with pytest.raises(ValueError, match=rf"pets/dog/b/.* is more than {MAX_DEPTH} folders deep"):
        opened(write("dog/" + "b/" * (MAX_DEPTH + 1) + "1.png"))


@pytest.mark.parametrize(
    "copy",
    ["cat copy", "cat copy 2", "cat - Copy", "cat - Copy (3)", "cat (1)", "cat (copy)", "Copy of cat", "cat_copy"],
)
def test_classes_named_like_copies_are_noted(copy):
    assert list(note_twins(("cat", copy, "dog"))) == [
        f"classes named like copies of others: {copy}; merge or remove them"
    ]
    assert not list(note_twins((copy, "dog")))
    assert not list(note_twins(("cat", "cat 1", "copycat", "photocopy", "copy", "(1)")))


def test_sub_folders_that_are_joined_are_noted(write):
    write(*(f"animals/{name}/{i}.png" for name in ("cat", "dog", "dog-2", "dogs") for i in range(3)))
    write("cars/1.png", "cars/old/1.png", "cars/new/1.png", "one/of/1.png", "one/of/them/2.png")
    root = write("plants/rose/1.png", "plants/tulip/a/1.png", "plants/tulip/b/1.png")
    (source,) = opened(root)
    assert source.info.classes == ("animals", "cars", "one", "plants")
    assert list(source.notes()) == [
        "sub-folders joined to one class: animals (cat, dog, …), plants (rose, tulip); if they are the classes, move them up, "
        "else set `layout: classes`"
    ]
    (source,) = opened(root, layout="classes")
    assert not list(source.notes())


def test_a_folder_for_links_that_is_missing_is_refused(write, tmp_path):
    root = write("cat/1.png")
    for wrong in (tmp_path / "absent", root / "cat" / "1.png"):
        with pytest.raises(ValueError, match=r"dataset 'pets': .* is not a directory \(`follow_links`\)"):
            opened(root, follow_links=[tmp_path, wrong])
        with pytest.raises(ValueError, match=r"is not a directory \(`follow_links`\)"):
            DatasetRoot(root, [wrong])
