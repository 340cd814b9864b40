"""Two processes that torchrun started, over Gloo, are one run: uneven shares, and every test sample counts once."""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, subprocess, sys
import torch
from augsvc_client.trainer.training.evaluate import predict
from augsvc_client.trainer.training.data import test_loader
from augsvc_client.trainer.models.build import Inputs, build_model
from augsvc_client.trainer.training.learner import Learner
from augsvc_client.trainer.distributed import gather_rows, process_group, rank, world_size
from augsvc_client.trainer.recipe import parse_recipe

torch.set_num_threads(1)
recipe = parse_recipe({
    "data": {"dataset": "digits/train", "size": 8}, "training": {"device": "cpu"},
    "evaluation": {"tests": {"test": {"dataset": "digits/test"}}, "batch_size": 64},
})
with process_group(), test_loader(recipe, sys.argv[1], "test") as loader:
    model = build_model(recipe.model, Inputs(1, (8, 8)), 10, seed=0)
    found = predict(model, loader)
    for each in model.state_dict().values():
        each.fill_(rank() + 1)
    begun = Learner(model, recipe, 1).model.state_dict().values()
    begun = [float(each.min()) for each in begun] + [float(each.max()) for each in begun]
    rows = gather_rows(torch.arange(3 * rank()) + 10)
    number = rank()
    result = {"world": world_size(), "index": found.index.tolist(), "named": found.predicted.tolist(), "rows": rows.tolist(),
        "begun": sorted(set(begun))}
names = subprocess.run(["ps", "-L", "-o", "comm=", "-p", str(os.getpid())], capture_output=True, text=True).stdout.split()
result["left"] = [name for name in names if "gloo" in name]
with open(f"{sys.argv[2]}/{number}.json", "w") as file:
    json.dump(result, file)
"""


@pytest.mark.slow
def test_two_processes_count_every_test_sample_once(url, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, script, url, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first["begun"] == second["begun"] == [1.0], "weights and statistics that differ become the first rank's"
    assert first == second
    assert first["world"] == 2
    assert first["index"] == list(range(445)), "uneven: 256 samples on one rank, 189 on the other"
    assert first["left"] == [], "a thread of Gloo that outlives the group can abort the process at its exit"
    assert first["rows"] == [10, 11, 12], "a rank without rows gives none"
    alone = subprocess.run([sys.executable, script, url, tmp_path], capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    assert json.loads((tmp_path / "0.json").read_text())["named"] == first["named"]
