"""How long a trainer waits for its batches: a small convolutional network on the digits, on the same machine as the server."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from augsvc_client import RemoteDataLoader
from benchmarks.rounds import middle_half
from benchmarks.sections import Bench
from benchmarks.serving.served import Plan, Served

_SIDE, _BATCH = 32, 64


def training(bench: Bench) -> dict[str, Any]:
    """A pass over the digits a round, preset `standard`, the loader's defaults; the first pass is left out."""
    server = Served(Plan(np.zeros((1, 1, 1, 3), np.uint8)))
    loader = RemoteDataLoader(
        server.url, dataset="digits/train", pipeline="standard", batch_size=_BATCH, size=(_SIDE, _SIDE)
    )
    torch.manual_seed(0)
    model = _network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps: list[float] = []
    waits: list[float] = []
    for number in range(bench.rounds + 1):
        bench.say(f"training: pass {number + 1} of {bench.rounds + 1}")
        n, began_s, waited_s = len(loader), time.perf_counter(), loader.wait_s_total
        for batch in loader:
            optimizer.zero_grad()
            functional.cross_entropy(model(batch["image"]), batch["label"]).backward()
            optimizer.step()
        if number:
            steps.append((time.perf_counter() - began_s) / n)
            waits.append((loader.wait_s_total - waited_s) / n)
    loader.close()
    server.stop()
    shares = np.array(waits) / steps
    low, high = middle_half(shares.tolist())
    return {
        "step_s": float(np.median(steps)),
        "wait_s": float(np.median(waits)),
        "wait_to_step": float(np.median(shares)),
        "low": low,
        "high": high,
        "steps": n,
    }


def _network() -> nn.Module:
    """1,32,32 → 10 in four stages: about what the included trainer trains."""
    widths = (1, 32, 64, 128)
    stages = [
        layer
        for inputs, outputs in pairwise(widths)
        for layer in (
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2),
        )
    ]  # fmt: skip
    return nn.Sequential(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))
