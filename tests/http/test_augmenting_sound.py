"""A custom loader over clips: the same guarantees as over images."""

import json

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from augsvc_client import AugmentingDataLoader, Client

N, T = 13, 400
DRAWS = {"pipeline": "sound", "aug_seed": 3, "sample_rate": 8000}


class Words(Dataset):
    """Clips with a class."""

    def __init__(self):
        self.clips = torch.from_numpy(np.random.default_rng(0).normal(0, 0.2, (N, T)).astype(np.float32))

    def __len__(self):
        return N

    def __getitem__(self, at):
        return self.clips[at], at % 3


def wrap(server, *, batch_size=4, **more):
    arguments = {"fields": ("audio", "label"), "prefetch": 2, "wait_s": 60, **DRAWS, **more}
    return AugmentingDataLoader(DataLoader(Words(), batch_size=batch_size), server.url, **arguments)


def epoch_of(loader):
    batches = list(loader)
    return {name: torch.cat([batch[name] for batch in batches]) for name in ("audio", "label", "index")}


@pytest.fixture(scope="module")
def whole(server):
    """Two epochs, in one request each."""
    with Client(server.url) as client:
        given = {"audio": Words().clips.numpy(), "index": np.arange(N)}
        return [client.augment(given, epoch=epoch, **DRAWS).arrays["audio"] for epoch in (0, 1)]


@pytest.mark.parametrize("batch_size", [1, 4, N])
def test_batch_sizes_change_nothing(server, whole, batch_size):
    with wrap(server, batch_size=batch_size) as loader:
        for expected in whole:
            found = epoch_of(loader)
            assert found["audio"].dtype == torch.float32
            assert found["audio"].numpy().tobytes() == expected.tobytes()
            assert found["label"].tolist() == [at % 3 for at in range(N)]
            assert found["index"].tolist() == list(range(N))


def test_resuming_gives_the_same_tail(server, whole):
    with wrap(server) as loader:
        steps = iter(loader)
        next(steps)
        state = json.loads(json.dumps(loader.state_dict()))
    with wrap(server) as resumed:
        resumed.load_state_dict(state)
        assert epoch_of(resumed)["audio"].numpy().tobytes() == whole[0][4:].tobytes()


def test_another_view_is_another_draw_and_waits_are_counted(server, whole):
    with wrap(server, view=1) as loader:
        assert epoch_of(loader)["audio"].numpy().tobytes() != whole[0].tobytes()
        assert loader.batches == 4
        assert loader.wait_s_total > 0


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (torch.zeros(2, 1, 9), r"x\[:, 0\]"),
        (torch.zeros(2, 9, dtype=torch.int16), "32768"),
        (torch.zeros(2), "N,T"),
    ],
)
def test_what_is_no_sound_is_refused_with_its_cure(server, audio, message):
    with (
        AugmentingDataLoader([{"audio": audio}], server.url, **DRAWS) as loader,
        pytest.raises(ValueError, match=message),
    ):
        next(iter(loader))


def test_a_batch_has_images_or_sound(server):
    both = {"audio": torch.zeros(2, 9), "image": torch.zeros(2, 4, 4, 3, dtype=torch.uint8)}
    for batch in (both, {"label": torch.zeros(2)}):
        with (
            AugmentingDataLoader([batch], server.url) as loader,
            pytest.raises(ValueError, match="needs 'image' or 'audio'"),
        ):
            next(iter(loader))


@pytest.mark.parametrize("name", ["lengths", "length", "audio_lengths"])
def test_padding_changes_nothing_of_a_clip(server, whole, name):
    lengths = torch.tensor([T, 250, 1, 0])
    padded = torch.cat([Words().clips[:4], torch.full((4, 60), 0.5)], dim=1)  # what follows a clip is ignored
    batch = {"audio": padded, name: lengths, "label": torch.arange(4)}
    with AugmentingDataLoader([batch], server.url, **DRAWS) as loader:
        result = next(iter(loader))
    assert result[name].tolist() == lengths.tolist()
    for row, length in enumerate(lengths.tolist()):
        assert not result["audio"][row, length:].any()
    assert result["audio"][0, :T].numpy().tobytes() == whole[0][0].tobytes()


def test_a_length_that_counts_no_samples_is_refused_or_passed_through(server):
    batch = {"audio": torch.zeros(2, 9), "length": torch.tensor([0.5, 0.25])}
    with AugmentingDataLoader([batch], server.url, **DRAWS) as loader, pytest.raises(ValueError, match="passthrough"):
        next(iter(loader))
    with AugmentingDataLoader([batch], server.url, passthrough=("length",), **DRAWS) as loader:
        assert next(iter(loader))["length"] is batch["length"]
    images = {"image": torch.zeros(2, 4, 4, 3, dtype=torch.uint8), "length": torch.tensor([70, 3])}
    with AugmentingDataLoader([images], server.url, pipeline="light") as loader:
        assert next(iter(loader))["length"] is images["length"]


def test_padding_without_lengths_is_reported_once_a_pass(server, caplog):
    padded = {"audio": Words().clips[:4].clone(), "name": ["a"] * 4}
    padded["audio"][1, 300:] = 0
    silent = {"audio": torch.cat([Words().clips[:3], torch.zeros(1, T)])}
    for batches, lines in (([padded] * 3, 1), ([silent], 0), ([{**padded, "length": [T, 300, T, T]}], 0)):
        caplog.clear()
        with AugmentingDataLoader(batches, server.url, **DRAWS) as loader:
            list(loader)
        assert len([record for record in caplog.records if "`lengths`" in record.getMessage()]) == lines


def test_channels_go_and_come_back_together(server):
    clips = torch.from_numpy(np.random.default_rng(2).normal(0, 0.2, (N, 2, T)).astype(np.float32))
    pipeline = [{"op": "gain", "gain": [-20, 20]}, {"op": "reverse", "p": 0.5}]
    arguments = {"fields": ("audio", "label"), "wait_s": 60, "pipeline": pipeline, "sample_rate": 8000}
    found = []
    for given in (clips, clips[:, 0].clone(), clips[:, 1].clone()):
        pairs = [(given[k], k % 3) for k in range(N)]
        with AugmentingDataLoader(DataLoader(pairs, batch_size=4), server.url, **arguments) as loader:
            found.append(epoch_of(loader)["audio"])
    both, *alone = found
    assert both.shape == (N, 2, T) and both.numpy().tobytes() == torch.stack(alone, dim=1).numpy().tobytes()
    single = [(clips[k, :1], 0) for k in range(N)]
    loader = AugmentingDataLoader(DataLoader(single, batch_size=4), server.url, **arguments)
    with loader, pytest.raises(ValueError, match=r"send x\[:, 0\]"):
        next(iter(loader))
