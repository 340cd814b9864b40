"""Which files are read, and up to which size: the defaults of the service's folders."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
TIFF_SUFFIXES = frozenset({".tif", ".tiff"})  # of datasets with a window
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus"})

MAX_PIXELS = 89_478_485  # Pillow's own limit for a warning, 268 MB in colour
MAX_FRAMES = 28_800_000  # ten minutes at 48 kHz, 115 MB as one channel
MAX_IMAGE_BYTES = 64 << 20
MAX_AUDIO_BYTES = 256 << 20
