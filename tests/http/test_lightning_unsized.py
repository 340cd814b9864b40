"""Lightning over a loader without a length: it reads one batch ahead, and a checkpoint counts only the batches trained on."""

import itertools

import pytest
import torch

N, STEPS, EPOCHS = 22, 6, 3

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",  # in its use of torch
    "ignore::UserWarning",  # its advice
)


class Runs:
    """Runs with one limit of batches an epoch. The whole one leaves a checkpoint after each step."""

    def __init__(self, server, folder, **limits):
        self._url, self._folder, self._limits = server.url, folder, limits
        self.whole = self._fit()

    def resume(self, step):
        return self._fit(self._folder / f"step={step}.ckpt")

    def _fit(self, checkpoint=None):
        from tests.http.lightning_run import fit

        torch.set_num_threads(1)
        return fit(self._url, self._folder, checkpoint, **self._limits)


@pytest.fixture(scope="module")
def runs(server, tmp_path_factory):
    return Runs(server, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def limited(server, tmp_path_factory):
    return Runs(server, tmp_path_factory.mktemp("limited"), limit_train_batches=4)


def test_each_epoch_has_each_sample_once(runs):
    assert [epoch for epoch, _, _ in runs.whole.trained] == [epoch for epoch in range(EPOCHS) for _ in range(STEPS)]
    for epoch in range(EPOCHS):
        assert [index for at, ids, _ in runs.whole.trained if at == epoch for index in ids] == list(range(N))
    assert [index for ids in runs.whole.tested[2:] for index in ids] == list(range(N)) * EPOCHS


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 12], ids="step {}".format)
def test_a_run_over_a_loader_without_length_resumes_at_the_next_batch(runs, stop):
    rest = runs.resume(stop)
    assert rest.trained == runs.whole.trained[stop:]
    assert all((a == b).all() for a, b in zip(rest.parameters(), runs.whole.parameters(), strict=True))


def test_no_batch_is_lost_or_repeated_where_lightning_limits_an_epoch(limited):
    assert [epoch for epoch, _, _ in limited.whole.trained] == [0] * 4 + [1] * 4 + [
        2
    ] * 4  # and STEPS is no multiple of 4
    assert list(itertools.chain.from_iterable(ids for _, ids, _ in limited.whole.trained)) == list(range(N)) * 2
    assert [index for ids in limited.whole.tested[2:] for index in ids] == list(range(N)) * EPOCHS


@pytest.mark.parametrize("stop", [1, 4, 6, 7])
def test_a_run_where_lightning_limits_an_epoch_resumes_at_the_next_batch(limited, stop):
    assert limited.resume(stop).trained == limited.whole.trained[stop:]


def test_each_epoch_of_overfitting_has_the_same_batches(server, tmp_path):
    trained = Runs(server, tmp_path, overfit_batches=2).whole.trained
    assert [ids for _, ids, _ in trained] == [[0, 1, 2, 3], [4, 5, 6, 7]] * EPOCHS
    assert len({pixels for _, _, pixels in trained}) == 2


def test_loaders_of_another_kind_are_refused(server):
    from augsvc_client import AugmentingDataLoader
    from augsvc_client.lightning import LoaderDataModule

    batches = [{"image": torch.zeros(1, 4, 4, 3, dtype=torch.uint8)}]
    with AugmentingDataLoader(batches, server.url) as loader:
        for arguments in ({"train": batches}, {"train": loader, "validation": [loader, batches]}):
            with pytest.raises(ValueError, match="AugmentingDataLoader"):
                LoaderDataModule(**arguments)
        assert [epochs.loader for epochs in LoaderDataModule(loader, [loader, loader]).val_dataloader()] == [loader] * 2
