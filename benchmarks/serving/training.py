"""How long the included trainer waits for its batches: its own network, recipe and loop, on the same machine as the server."""

from typing import Any

import numpy as np
import torch

from augsvc_client.trainer.experiments.run import settle
from augsvc_client.trainer.models.build import build_model
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.training.data import inputs_of, training_loader
from augsvc_client.trainer.training.device import choose_device, scaled, use_threads
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.training.loop import Course, Epoch, train
from benchmarks.rounds import middle_half
from benchmarks.sections import Bench
from benchmarks.serving.served import Plan, Served

_DATASET, _CLASSES = "digits/train", 10


def training(bench: Bench) -> dict[str, Any]:
    """What `augsvc-train --dataset digits/train` does, an epoch a round, without tests; the first epoch is left out.

    The seconds are those that the trainer itself tells of: loader.wait_s_total of an epoch over the epoch's time.
    """
    server = Served(Plan(np.zeros((1, 1, 1, 3), np.uint8)))
    threads = torch.get_num_threads()
    asked = use_threads(parse_recipe({"data": {"dataset": _DATASET}}))
    device = choose_device(asked.training.device)
    recipe, _ = settle(scaled(asked, device)[0].changed({"training.epochs": bench.rounds + 1}), server.url)
    with training_loader(recipe, server.url) as loader:
        model = build_model(recipe.model, inputs_of(loader.stream), _CLASSES, recipe.training.seed).to(device.kind)
        steps = loader.epoch_steps
        course = Course(Learner(model, recipe, recipe.training.epochs * steps), loader)
        for event in train(course, dict):
            if isinstance(event, Epoch):
                bench.say(f"training: epoch {event.number + 1} of {recipe.training.epochs}")
    server.stop()
    torch.set_num_threads(threads)
    paces = [epoch.pace for epoch in course.history[1:]]
    low, high = middle_half([pace.wait_share for pace in paces])
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
