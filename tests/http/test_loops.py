"""Training loops of other people's: the examples run as they stand, and go on from their checkpoints as if never stopped."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.http.test_examples import EXAMPLES, load


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()  # more of them wait actively for one another beside a busy server
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def example(server, monkeypatch):
    """A module of examples/ that asks the tests' server."""

    def named(name):
        module = load(name)
        monkeypatch.setattr(module, "URL", server.url)
        return module

    return named


def test_a_custom_loop_learns_in_25_lines(example, capsys):
    code = (EXAMPLES / "own_loop.py").read_text()
    body = code.split("def main", 1)[1].split("\n\n\n", 1)[0]
    assert len(body.splitlines()) <= 25
    losses = example("own_loop").main(epochs=2), *map(float, re.findall(r"loss ([0-9.]+)", capsys.readouterr().out))
    assert losses[0] == pytest.approx(losses[-1], abs=1e-3)
    assert losses[-1] < 0.9 * losses[1]


lightnings_own = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",  # in its use of torch
    "ignore::UserWarning",  # its advice
)


@lightnings_own
@pytest.mark.parametrize("scheduled", [False, True], ids=["", "scheduler of all steps"])
@pytest.mark.parametrize("stop", [7, 21], ids=["mid-epoch", "at an epoch's end"])
def test_lightning_goes_on_where_its_checkpoint_was_taken(example, tmp_path, stop, scheduled):
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint

    module = example("lightning_loop")

    class Spy(module.Classifier):
        def training_step(self, batch, number):
            self.seen.append((self.trainer.current_epoch, tuple(batch["index"].tolist())))
            return super().training_step(batch, number)

        def validation_step(self, batch, number):
            self.tested.append(len(batch["index"]))
            super().validation_step(batch, number)

        def configure_optimizers(self):
            optimizer = super().configure_optimizers()
            if not scheduled:
                return optimizer
            steps = self.trainer.estimated_stepping_batches
            assert steps == 42
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
            return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def fit(checkpoint=None):
        lightning.seed_everything(0, verbose=False)
        spy = Spy()
        spy.seen, spy.tested = [], []
        keep = [ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=stop, save_top_k=-1)]
        trainer = lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, callbacks=[] if checkpoint else keep,
            enable_checkpointing=not checkpoint, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=1,
        )  # fmt: skip
        trainer.fit(spy, datamodule=module.Digits(module.URL), ckpt_path=checkpoint)
        return spy

    whole = fit()
    assert [len(indices) for _, indices in whole.seen] == [64] * 42
    assert whole.tested == [256] + [256, 189] * 2  # the trial pass, left after one batch, and the two whole ones
    rest = fit(tmp_path / f"step={stop}.ckpt")
    assert rest.seen == whole.seen[stop:]
    assert all((a == b).all() for a, b in zip(rest.parameters(), whole.parameters(), strict=True))


def test_accelerate_goes_on_where_it_was_stopped(example, tmp_path):
    loop = example("accelerate_loop")
    whole = loop.main(tmp_path / "whole", epochs=1)
    parts = loop.main(tmp_path / "parts", epochs=1, stop_after=7) + loop.main(tmp_path / "parts", epochs=1)
    assert parts == whole
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


TWO = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import accelerate_loop
accelerate_loop.URL = sys.argv[2]
out = Path(sys.argv[3])
seen = accelerate_loop.main(out, epochs=1)
from os import environ
(out / f"seen-{environ['RANK']}.json").write_text(json.dumps(seen))
"""


@pytest.mark.slow
def test_accelerate_s_processes_read_shares_of_their_own(server, tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    command = [str(Path(sys.executable).with_name("torchrun")), "--nproc-per-node", "2", str(tmp_path / "two.py")]
    done = subprocess.run(
        [*command, str(EXAMPLES), server.url, str(tmp_path)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true"}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in range(2))
    assert len(first) == len(second) == 672  # 21 steps of 32 each
    assert len({*first, *second}) == 1344
