"""NVIDIA DALI over files, on the CPU: decodes only what a crop needs."""

from pathlib import Path
from typing import Any

import numpy as np
import nvidia.dali as dali
from nvidia.dali import fn, types

from augsvc.cpus import cores
from benchmarks.peers import Peer, Run
from benchmarks.recipes import BATCH, SIZE


def _make(pipeline: list[dict[str, Any]], folder: str) -> Run:
    files = sorted(map(str, Path(folder).rglob("*.jpg")))
    _, flip, jitter = pipeline

    def draw(name: str, unit: float = 1.0) -> Any:
        return fn.random.uniform(range=[unit * limit for limit in jitter[name]])

    @dali.pipeline_def(batch_size=BATCH, num_threads=cores(), device_id=None)  # type: ignore[untyped-decorator]
    def graph() -> Any:
        encoded, _ = fn.readers.file(files=files, random_shuffle=True)
        images = fn.decoders.image_random_crop(
            encoded, device="cpu", output_type=types.RGB, random_area=[0.08, 1.0], random_aspect_ratio=[3 / 4, 4 / 3]
        )
        images = fn.resize(images, size=(SIZE, SIZE), interp_type=types.INTERP_LINEAR)
        images = fn.color_twist(
            images, brightness=draw("brightness"), contrast=draw("contrast"), saturation=draw("saturation"),
            hue=draw("hue", 360),
        )  # fmt: skip
        mirror = fn.random.coin_flip(probability=flip["p"])
        return fn.crop_mirror_normalize(
            images, dtype=types.FLOAT, mean=[127.5] * 3, std=[127.5] * 3, mirror=mirror, output_layout="CHW"
        )

    built = graph()
    built.build()

    def run() -> np.ndarray:
        for _ in range(len(files) // BATCH):
            batch: np.ndarray = built.run()[0].as_array()
        return batch

    return run


PEERS = {"files_dali": Peer("DALI on the CPU, a thread a core", lambda: str(dali.__version__), _make, works_ahead=True)}
