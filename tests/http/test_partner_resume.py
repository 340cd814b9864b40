"""A run is resumed on the versions of the datasets that its operations take partners from, or refused."""

import json

import pytest

from augsvc_client import AugmentingDataLoader, MultiViewLoader, RemoteDataLoader, StateMismatch
from tests.data.sounds import encode, waves
from tests.http.test_reload import reload

NOISY = [{"op": "background_noise", "dataset": "noises", "p": 1}]
SPEC = {"dataset": "calls", "seconds": 0.1, "sample_rate": 8_000, "pipeline": NOISY, "batch_size": 2}


def write_sounds(folder, *seeds):
    for seed in seeds:
        (folder / "hum").mkdir(parents=True, exist_ok=True)
        (folder / "hum" / f"{seed}.wav").write_bytes(encode(waves(1000, seed=seed), "WAV", "PCM_16", 8_000))
    return folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    root = tmp_path_factory.mktemp("sounds")
    return {"calls": write_sounds(root / "calls", *range(6)), "noises": write_sounds(root / "noises", 8, 9)}


@pytest.fixture(scope="module")
def start(serve, sounds):
    settings = {name: {"format": "audio_folder", "path": str(path)} for name, path in sounds.items()}
    return lambda: serve(datasets=settings, cache_bytes=0).ready()


@pytest.fixture(scope="module")
def resumed(start, sounds):
    """A server that was reloaded, one that was restarted, a state from before, and the batches that follow it."""
    serving = start()
    with make(serving) as loader:
        steps = iter(loader)
        next(steps)
        state, rest = json.loads(json.dumps(loader.state_dict())), epoch(steps)
    write_sounds(sounds["noises"], 10)
    assert reload(serving)["noises"]["added"] == 1
    return serving, start(), state, rest


def make(serving, **options):
    return RemoteDataLoader(serving.url, **{**SPEC, **options}, wait_s=60)


def epoch(loader):
    return [batch["audio"].numpy().tobytes() for batch in loader]


def without_partners(state):
    """As earlier releases wrote it."""
    return {name: value for name, value in state.items() if name != "partners"}


def test_a_state_names_the_versions_of_partners(resumed):
    serving, _, state, _ = resumed
    stream = make(serving).stream
    assert state["partners"].keys() == stream.partners.keys() == {"noises"}
    assert state["partners"] != stream.partners and state["dataset_version"] == stream.dataset_version


@pytest.mark.parametrize("form", [dict, without_partners], ids=["of now", "of before"])
@pytest.mark.parametrize("begun", [False, True])
def test_a_state_is_resumed_on_the_versions_of_partners(resumed, form, begun):
    serving, _, state, rest = resumed
    with make(serving) as loader:
        if begun:  # on the new version, with batches in flight
            next(iter(loader))
        loader.load_state_dict(form(state))
        assert loader.id == state["id"] and epoch(loader) == rest
    with MultiViewLoader(make(serving)) as loaders:
        loaders.load_state_dict({"loaders": [form(state)]})
        assert epoch(loaders) == rest


@pytest.mark.parametrize("form", [dict, without_partners], ids=["of now", "of before"])
def test_versions_of_partners_that_no_server_keeps_are_named_with_the_cure(resumed, form):
    _, restarted, state, _ = resumed
    with make(restarted) as loader:
        with pytest.raises(StateMismatch, match=r"the data changed since the state was taken: .*noises") as refused:
            loader.load_state_dict(form(state))
        message = str(refused.value)
        if form is dict:
            assert state["partners"]["noises"] in message and loader.stream.partners["noises"] in message
        assert "set_epoch(state['epoch'] + 1)" in message and "calls" not in message


def test_a_pinned_stream_is_not_left(resumed):
    serving, _, state, _ = resumed
    with make(serving, id=make(serving).id) as loader, pytest.raises(StateMismatch, match="pinned to other data"):
        loader.load_state_dict(state)


def test_another_arithmetic_may_be_accepted_but_not_other_partners(resumed):
    serving, restarted, state, _ = resumed
    other = {**state, "arithmetic": "0" * 64, "id": "0" * 32}
    with make(serving, accept_arithmetic=True) as loader:
        with pytest.raises(StateMismatch, match="noises"):
            loader.load_state_dict(other)
        loader.load_state_dict(without_partners(other))  # they cannot be compared
    with make(restarted) as loader, pytest.raises(StateMismatch, match=r"noises.*; arithmetic"):
        loader.load_state_dict(other)


def test_a_wrapped_loader_is_refused_at_its_next_step(resumed):
    _, restarted, state, _ = resumed
    options = {"fields": ("audio", "label"), "sample_rate": 8_000}
    with make(restarted) as inner, AugmentingDataLoader(inner, restarted.url, **options) as loader:
        loader.load_state_dict({**loader.state_dict(), "loader": state})
        with pytest.raises(StateMismatch, match="noises"):
            next(iter(loader))
