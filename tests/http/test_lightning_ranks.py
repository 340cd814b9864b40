"""Lightning with two processes (DDP over gloo): every sample once an epoch, also after a resume."""

import json
import os
import subprocess
import sys
from itertools import chain

import pytest

SCRIPT = """
import json, os, sys
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

from augsvc_client import AugmentingDataLoader, RemoteDataLoader
from augsvc_client.lightning import LoaderDataModule

kind, url, out, checkpoint = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None
torch.set_num_threads(1)


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(64, 10)
        self.trained, self.tested = [], []

    def loss(self, batch):
        return nn.functional.cross_entropy(self.net(batch["image"].flatten(1)), batch["label"])

    def training_step(self, batch, number):
        self.trained.append([self.trainer.current_epoch, batch["index"].tolist(), batch["image"].sum().item()])
        return self.loss(batch)

    def validation_step(self, batch, number):
        if not self.trainer.sanity_checking:
            self.tested.append([self.trainer.current_epoch, batch["index"].tolist(), batch["image"].sum().item()])
        self.log("loss", self.loss(batch), batch_size=len(batch["index"]), sync_dist=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=3e-3)
        steps = self.trainer.estimated_stepping_batches
        assert steps == 27, steps
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def loader(dataset, per_class, batch_size, **more):
    return RemoteDataLoader(url, dataset=dataset, size=(8, 8), batch_size=batch_size, drop_last=False,
                            subset={"per_class": per_class, "seed": 0}, **more)


def own_loader():
    images = torch.randint(0, 256, (130, 8, 8, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    samples = [{"image": image, "label": at % 10, "id": at} for at, image in enumerate(images)]
    sampler = DistributedSampler(samples, num_replicas=2, rank=int(os.environ.get("LOCAL_RANK", 0)))
    return AugmentingDataLoader(DataLoader(samples, batch_size=8, sampler=sampler), url, pipeline="light", index_key="id")


lightning.seed_everything(0, verbose=False)
trainer = lightning.Trainer(
    max_epochs=3, accelerator="cpu", strategy="ddp", devices=2, logger=False, num_sanity_val_steps=1,
    callbacks=[ModelCheckpoint(out, filename="{step}", every_n_train_steps=n, save_top_k=-1) for n in (9, 13)],
    enable_progress_bar=False, enable_model_summary=False,
)
net = Net()
train = loader("digits/train", 13, 8, pipeline="light") if kind == "remote" else own_loader()
data = LoaderDataModule(train, loader("digits/test", 5, 16, shuffle=False))
trainer.fit(net, datamodule=data, ckpt_path=checkpoint)
weights = [parameter.tolist() for parameter in net.parameters()]
name = f"{'rest' if checkpoint else 'whole'}-{trainer.global_rank}.json"
(out / name).write_text(json.dumps({"trained": net.trained, "tested": net.tested, "weights": weights}))
"""
STEPS, STOPS = 9, (13, 18)  # steps per epoch; checkpoints within the second one and at its end


def fit(server, kind, folder, *checkpoint):
    """What each rank saw, and its weights."""
    (folder / "two.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(folder / "two.py"), kind, server.url, str(folder), *map(str, checkpoint)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name = "rest" if checkpoint else "whole"
    return [json.loads((folder / f"{name}-{rank}.json").read_text()) for rank in range(2)]


def indices(runs, field, epoch):
    """The indices that all ranks saw in an epoch, sorted."""
    return sorted(chain.from_iterable(seen for run in runs for at, seen, _ in run[field] if at == epoch))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["remote", "own"])
def test_two_ranks_read_each_sample_once_and_resume_exactly(server, tmp_path, kind):
    whole = fit(server, kind, tmp_path)
    for epoch in range(3):
        trained, tested = indices(whole, "trained", epoch), indices(whole, "tested", epoch)
        assert len(trained) == len(set(trained)) == 130
        assert len(tested) == len(set(tested)) == 50
        assert trained == indices(whole, "trained", 0)
    assert [len(run["trained"]) for run in whole] == [3 * STEPS] * 2
    for stop in STOPS:
        rest = fit(server, kind, tmp_path, tmp_path / f"step={stop}.ckpt")
        for resumed, run in zip(rest, whole, strict=True):
            assert resumed["trained"] == run["trained"][stop:]
            assert resumed["weights"] == run["weights"] == whole[0]["weights"]
        assert indices(rest, "tested", 2) == indices(whole, "tested", 2)
