"""A run that was interrupted continues on the version of the data that it began with, while a server keeps that."""

import io
import signal

import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from safetensors.torch import load_file

from augsvc_client import RemoteDataLoader, StateMismatch, StreamChanged
from augsvc_client.trainer.cli.plan import Plan
from augsvc_client.trainer.cli.train import CanContinue, train
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.recipe import load_recipe, parse_recipe
from tests.http.serving import write_image, write_image_folder
from tests.http.test_reload import SPEC, reload, started

pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def root(tmp_path):
    return write_image_folder(tmp_path / "pets", {"cat": 7, "dog": 6})


@pytest.fixture
def serving(serve, root):
    return started(serve, pets=root)


@pytest.fixture
def make():
    """A function that makes loaders of `pets`; all are closed at the end."""
    loaders = []

    def make(*servers, **options):
        urls = [server.url for server in servers]
        loaders.append(RemoteDataLoader(urls, **{**SPEC, "batch_size": 3, "drop_last": False, **options}, wait_s=60))
        return loaders[-1]

    yield make
    for loader in loaders:
        loader.close()


def epoch(loader):
    return [(batch["index"].tolist(), batch["label"].tolist(), batch["image"].numpy().tobytes()) for batch in loader]


def add_samples(root):
    write_image(root / "ant" / "1.png", 78)  # all labels and indices move
    write_image(root / "cat" / "zz.png", 77)


def interrupted(loader, batches=2):
    """The state after some batches of an epoch, and the rest of it."""
    steps = iter(loader)
    for _ in range(batches):
        next(steps)
    return loader.state_dict(), epoch(steps)


@pytest.mark.parametrize("begun", [False, True])
def test_a_state_is_resumed_on_its_version(serving, root, make, begun):
    state, rest = interrupted(make(serving))
    add_samples(root)
    reload(serving)
    loader = make(serving)
    if begun:  # on the new version, with batches in flight
        assert loader.stream.samples == 15
        next(iter(loader))
    loader.load_state_dict(state)
    assert loader.stream.dataset_version == state["dataset_version"]
    assert epoch(loader) == rest
    assert make(serving).stream.samples == 15


def test_an_iterator_from_before_continues_there(serving, root, make):
    """As Lightning restores a checkpoint within an epoch that it has begun."""
    state, rest = interrupted(make(serving), batches=3)
    add_samples(root)
    reload(serving)
    loader = make(serving)
    steps = iter(loader)
    next(steps)
    loader.load_state_dict(state)
    assert epoch(steps) == rest


def test_a_state_is_resumed_where_its_dataset_has_become_splits(serving, root, tmp_path, make):
    state, rest = interrupted(make(serving))
    write_image_folder(tmp_path / "moved", {"cat": 2, "dog": 2})
    (tmp_path / "moved").rename(root / "train")
    write_image_folder(root / "val", {"cat": 2, "dog": 2})
    assert "pets/train" in reload(serving)
    loader = make(serving)
    loader.load_state_dict(state)
    assert epoch(loader) == rest


def test_a_state_is_resumed_by_any_replica_that_keeps_its_version(serve, serving, root, make):
    other = started(serve, pets=root)  # it has never seen a stream
    state, rest = interrupted(make(other))
    add_samples(root)
    reload(serving)
    restarted = started(serve, pets=root)
    loader = make(serving, restarted)
    loader.load_state_dict(state)
    assert epoch(loader) == rest


def test_a_named_version_is_opened_with_other_arguments(serving, root, make):
    """As ranks that start late, and evaluations, need it."""
    version = make(serving).stream.dataset_version
    add_samples(root)
    reload(serving)
    late = make(serving, dataset_version=version, aug_seed=5)
    assert late.stream.samples == 13
    with pytest.raises(StreamChanged, match=r"dataset_version is .*, not 0000"):
        make(serving, dataset_version="0" * 64).stream  # noqa: B018 - the property asks


def test_a_pinned_version_is_not_left(serving, root, make):
    state, _ = interrupted(make(serving))
    add_samples(root)
    reload(serving)
    new = make(serving).stream
    for pinned in ({"id": new.id}, {"dataset_version": new.dataset_version}):
        with pytest.raises(StateMismatch, match="dataset_version"):
            make(serving, **pinned).load_state_dict(state)


def test_other_arguments_are_refused_as_before(serving, root, make):
    state, _ = interrupted(make(serving))
    add_samples(root)
    reload(serving)
    with pytest.raises(StateMismatch, match="aug_seed") as refused:
        make(serving, aug_seed=3).load_state_dict(state)
    assert "dataset_version" not in str(refused.value)


def test_a_version_that_no_server_keeps_is_named_with_the_cure(serve, serving, root, make):
    state, _ = interrupted(make(serving))
    add_samples(root)
    restarted = started(serve, pets=root)
    loader = make(restarted)
    with pytest.raises(StateMismatch) as refused:
        loader.load_state_dict(state)
    message = str(refused.value)
    assert "the data changed since the state was taken" in message
    assert state["dataset_version"] in message and loader.stream.dataset_version in message
    assert "13 in the state, 15 here" in message and "accept_arithmetic" not in message
    assert "set_epoch(state['epoch'] + 1)" in message
    loader.set_epoch(state["epoch"] + 1)  # the cure
    assert len(epoch(loader)) == 5


def settled(url):
    """A resolved recipe over `pets`, which is also its test."""
    training = {"epochs": 20, "device": "cpu", "threads": 1, "checkpoint_s": 1e6}
    groups = {"data": {"dataset": "pets", "size": 8, "batch_size": 5}, "training": training}
    groups["evaluation"] = {"tests": {"test": {"dataset": "pets"}}}
    return resolve_recipe(parse_recipe(groups), url)[0]


def trained(recipe, url, out, **options):
    with Progress(disable=True) as progress:
        return run(recipe, url, progress, "", out=out, **options)


def interrupted_run(recipe, url, out):
    """As Ctrl-C leaves it after the first step."""
    with pytest.raises(KeyboardInterrupt):
        trained(recipe, url, out, notify=lambda line: signal.raise_signal(signal.SIGINT))
    recipe.save(out / "recipe.yaml")


def weights(model):
    return [value.clone() for value in model.state_dict().values()]


def equal(some, others):
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


def test_the_trainer_resumes_on_the_versions_and_classes_of_its_run(serving, root, tmp_path):
    recipe = settled(serving.url)
    whole = trained(recipe, serving.url, tmp_path / "whole")
    interrupted_run(recipe, serving.url, tmp_path / "broken")
    add_samples(root)
    reload(serving)
    resumed = trained(recipe, serving.url, tmp_path / "broken", resume=True)
    assert resumed.classes == ["cat", "dog"]
    assert equal(weights(resumed.model), weights(whole.model))
    assert [epoch.scores for epoch in resumed.history] == [epoch.scores for epoch in whole.history]


def into_splits(root, tmp_path):
    """Splits of two samples a class beside the folders of the classes: `pets` is no dataset any more."""
    write_image_folder(tmp_path / "moved", {"cat": 1, "ewe": 1})
    (tmp_path / "moved").rename(root / "train")
    write_image_folder(root / "val", {"cat": 1, "ewe": 1})


def resume(url, out, members=1):
    console = Console(file=io.StringIO())
    plan = Plan(members, resume=True)
    train(url, out, load_recipe(out / "recipe.yaml", {}), console, plan)


@pytest.mark.parametrize("members", [1, 2])
def test_the_command_resumes_where_its_dataset_is_not_served_any_more(serving, root, tmp_path, members):
    """The recipe is not checked against the datasets of now; members that begin later read those of the first one."""
    recipe, out = settled(serving.url), tmp_path / "broken"
    before = trained(recipe.member(members - 1), serving.url, tmp_path / "whole")
    if members == 1:
        interrupted_run(recipe, serving.url, out)
    else:
        interrupted_run(recipe.member(0), serving.url, out / "member-0")
        recipe.save(out / "recipe.yaml")
        (out / "ensemble.json").write_text('{"members": 2}')
    into_splits(root, tmp_path)
    assert "pets/train" in reload(serving)
    resume(serving.url, out, members=members)
    last = out if members == 1 else out / "member-1"
    saved, expected = load_file(last / "model.safetensors"), before.model.state_dict()
    assert saved.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in saved.items())


def test_the_command_names_the_cure_where_the_files_of_its_run_are_gone(serve, root, tmp_path):
    datasets = {"pets": {"format": "image_folder", "path": str(root)}}
    serving = serve(datasets=datasets, cache_bytes=0).ready()
    recipe, out = settled(serving.url), tmp_path / "broken"
    interrupted_run(recipe, serving.url, out)
    for file in sorted((root / "cat").iterdir())[1:]:
        file.unlink()
    reload(serving)
    with pytest.raises(CanContinue, match="restore the file, then reload"):
        resume(serving.url, out)
    restarted = started(serve, pets=root)
    with pytest.raises(CanContinue, match="without --resume, in another folder"):
        resume(restarted.url, out)
