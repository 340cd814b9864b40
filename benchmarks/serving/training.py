"""How long the included trainer waits for its batches, on the same machine as the server."""

from typing import Any

import numpy as np
import torch

from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.models.build import build_model
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.training.data import describe_inputs, training_loader
from augsvc_client.trainer.training.device import choose_device, scale_for_device, use_threads
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.training.loop import Epoch, TrainingState, train
from benchmarks.bench import Bench
from benchmarks.rounds import quartiles
from benchmarks.serving.served import Plan, Served

_DATASET, _CLASSES = "digits/train", 10


def training(bench: Bench) -> dict[str, Any]:
    """`augsvc-train --dataset digits/train`, an epoch a round, without evaluations; the first epoch is excluded.

    The trainer itself reports the seconds: loader.wait_s_total of an epoch over the epoch's time.
    """
    server = Served(Plan(np.zeros((1, 1, 1, 3), np.uint8)))
    threads = torch.get_num_threads()
    asked = use_threads(parse_recipe({"data": {"dataset": _DATASET}}))
    device = choose_device(asked.training.device)
    recipe, _ = resolve_recipe(
        scale_for_device(asked, device)[0].override({"training.epochs": bench.rounds + 1}), server.url
    )
    with training_loader(recipe, server.url) as loader:
        served = {entry["name"]: entry for entry in loader.stream.client.datasets()}
        inputs = describe_inputs(loader.stream, served[_DATASET])
        model = build_model(recipe.model, inputs, _CLASSES, recipe.training.seed).to(device.kind)
        steps = loader.epoch_steps
        course = TrainingState(Learner(model, recipe, recipe.training.epochs * steps), loader)
        for event in train(course, dict):
            if isinstance(event, Epoch):
                bench.log(f"training: epoch {event.number + 1} of {recipe.training.epochs}")
    server.stop()
    torch.set_num_threads(threads)
    paces = [epoch.pace for epoch in course.history[1:]]
    low, high = quartiles([pace.wait_share for pace in paces])
    return {
        "step_s": float(np.median([pace.train_s / steps for pace in paces])),
        "wait_s": float(np.median([pace.wait_s / steps for pace in paces])),
        "wait_to_step": float(np.median([pace.wait_share for pace in paces])),
        "low": low,
        "high": high,
        "steps": steps,
        "batch": recipe.data.batch_size,
        "device": device.kind,
    }
