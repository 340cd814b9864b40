"""Which files are read, and up to which size: the defaults of the service's folders."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})  # of datasets with a window
AUDIO_SUFFIXES = frozenset(
    {".wav", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".flac", ".ogg", ".oga", ".opus", ".mp3"}
)

MAX_PIXELS = 89_478_485  # Pillow's own limit for a warning, 268 MB in colour
MAX_FRAMES = 28_800_000  # ten minutes at 48 kHz, 115 MB as one channel
HIGHEST_RATE = 384_000  # Hz
MAX_IMAGE_BYTES = 64 << 20
MAX_AUDIO_BYTES = 256 << 20

# Of macOS, Windows, Linux, Synology, QNAP, NetApp, Python, Node; hidden names are leftovers in any case.
_LEFTOVERS = frozenset(
    {
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler", "recycled"),
        *("system volume information", "found.000", "msocache", "lost+found", "__pycache__"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "@__thumb"),
        *("~snapshot", "_gsdata_", "venv", "node_modules"),
    }
)


def is_leftover(name: str) -> bool:
    """Whether a file or folder is hidden, or belongs to an operating system, a file server or a tool, and not to the data."""
    return name.startswith((".", "~$")) or name.casefold() in _LEFTOVERS


MAX_CLIP_CHANNELS = 8  # of a stream: 7.1
