"""Colour whitening: originals, half strength, full strength.

make serve                                       # in another terminal
.venv/bin/python examples/whitening.py docs/whitening.jpg
"""

import sys

import numpy as np
from matplotlib.image import imsave

from augsvc_client import Client

COLUMNS, STRENGTHS = 8, (0.0, 0.5, 1.0)


def main(path: str) -> None:
    """Write an image with a row for each strength to `path`."""
    client = Client("http://127.0.0.1:8000")
    spec = {"dataset": "photos/train", "size": [96, 96], "shuffle": False, "output": {"layout": "NHWC"}}
    rows = []
    for strength in STRENGTHS:
        stream = client.stream(spec | {"pipeline": [{"op": "whitening", "mode": "color", "strength": strength}]})
        starts = np.linspace(40, stream.samples - 20, COLUMNS).astype(int).tolist()
        rows.append(np.concatenate([stream.batch(0, start, 1)["image"][0] for start in starts], axis=1))
    client.close()
    gap = np.full((8, rows[0].shape[1], 3), 255, dtype=np.uint8)
    imsave(path, np.concatenate([rows[0], gap, rows[1], gap, rows[2]]), pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main(sys.argv[1])
