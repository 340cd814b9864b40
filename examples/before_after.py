"""An image of a pipeline: originals above, the same samples augmented in three epochs below.

make serve                                       # in another terminal
.venv/bin/python examples/before_after.py docs/before_after.jpg
"""

import sys

import numpy as np
from matplotlib.image import imsave

from augsvc_client import Client

COLUMNS, EPOCHS = 8, 3
PIPELINE = [
    {"op": "random_resized_crop", "scale": [0.5, 1.0]},
    {"op": "rotation", "degrees": [-20, 20], "border": "reflect"},
    {"op": "horizontal_flip"},
    {
        "op": "color_jitter",
        "brightness": [0.7, 1.3],
        "contrast": [0.7, 1.3],
        "saturation": [0.5, 1.5],
        "hue": [-0.06, 0.06],
    },
    {"op": "gaussian_blur", "sigma": [0.2, 1.5], "p": 0.5},
    {"op": "gaussian_noise", "std": [0.0, 0.08]},
    {"op": "erasing", "scale": [0.02, 0.1], "p": 0.4},
]


def main(path: str) -> None:
    """Write the image to `path`."""
    client = Client("http://127.0.0.1:8000")
    spec = {"dataset": "photos/train", "size": [128, 128], "shuffle": False, "output": {"layout": "NHWC"}}
    rows = []
    for epoch, pipeline in [(0, "none"), *((epoch, PIPELINE) for epoch in range(EPOCHS))]:
        stream = client.stream(spec | {"pipeline": pipeline})
        starts = np.linspace(150, stream.samples - 20, COLUMNS).astype(int).tolist()
        rows.append(np.concatenate([stream.batch(epoch, start, 1)["image"][0] for start in starts], axis=1))
    client.close()
    gap = np.full((12, rows[0].shape[1], 3), 255, dtype=np.uint8)
    imsave(path, np.concatenate([rows[0], gap, *rows[1:]]), pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main(sys.argv[1])
