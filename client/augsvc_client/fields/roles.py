"""Which fields of a batch are transformed with the pixels or the sound.

field name → role (mask, boxes, keypoints, lengths, …) → sent; none, but it looks as if it had to move → refused; none →
passed through
"""

CONTENT = ("image", "audio")  # what is augmented; all other tensors accompany it
_ROLES = {
    **dict.fromkeys(("mask", "masks", "seg", "segmap", "segmentation", "segmentation_map"), "mask"),
    **dict.fromkeys(("seg_mask", "segmentation_mask", "semantic_mask", "semantic_segmentation"), "mask"),
    **dict.fromkeys(("boxes", "bboxes", "bbox", "box", "bounding_box", "bounding_boxes"), "boxes"),
    **dict.fromkeys(("keypoints", "keypoint", "landmarks"), "keypoints"),
    "box_labels": "box_labels",
    "mask_bits": "mask_bits",
    **dict.fromkeys(("length", "lengths", "audio_length", "audio_lengths"), "lengths"),
}

Path = tuple[str, ...]  # a field's name, below those of the mappings that hold it


def role_of(name: str) -> str | None:
    """The tensor that a field of this name is sent as, in any case; None for a field that has no role."""
    name = str(name).lower()
    if name.endswith("_valid"):
        role = _ROLES.get(name.removesuffix("_valid"))
        return f"{role}_valid" if role in ("boxes", "keypoints") else None
    return _ROLES.get(name)


def join_path(path: Path) -> str:
    """The name for messages."""
    return ".".join(map(str, path))


def unmovable(path: Path, is_sound: bool = False) -> str:
    """The message for a field that looks as if it had to move and cannot be moved."""
    name, keep = join_path(path), f"set passthrough=({path[-1]!r},) to leave it as it is"
    if is_sound:
        return f"{name} looks as if it had to move with the sound, which the service does for lengths alone: {keep}"
    return (
        f"{name} looks as if it had to move with the pixels, which the service does for masks, boxes and keypoints: name it "
        f"so if it is one, or {keep}"
    )
