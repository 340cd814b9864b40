"""What /metrics says of the training jobs: samples and reported waits, by name, a bounded number of names."""

import itertools

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from starlette.datastructures import Headers

from augsvc.http.metrics import JOB_ACTIVE_S, JOB_IDLE_S, MAX_JOBS, OTHER_JOB, JobMetrics
from augsvc_client import AugmentingDataLoader, RemoteDataLoader

SPEC = {"dataset": "digits/train", "pipeline": "light"}


def named(name, **more):
    return Headers({"Augsvc-Job": name, **{key.replace("_", "-"): value for key, value in more.items()}})


@pytest.fixture(scope="module")
def server(serve):
    """The shared one has had more names than are counted."""
    return serve().ready()


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def jobs(registry, now):
    return JobMetrics(registry, clock=lambda: now[0])


@pytest.fixture
def samples(registry):
    return lambda name: registry.get_sample_value("augsvc_job_samples_total", {"training_job": name})


def test_samples_and_waits_are_counted_by_job(registry, jobs, samples):
    jobs.count(named("a", Augsvc_Wait_Ms="1500"), 64, 10 * 64)
    jobs.count(named("a", Augsvc_Wait_Ms="0"), 36, 10 * 36)
    jobs.count(named("b"), 5, 10 * 5)
    assert (samples("a"), samples("b")) == (100, 5)
    assert registry.get_sample_value("augsvc_job_batch_bytes_total", {"training_job": "a"}) == 1000
    for job, count, total in (("a", 2, 1.5), ("b", 0, 0)):
        assert registry.get_sample_value("augsvc_job_wait_seconds_count", {"training_job": job}) == count
        assert registry.get_sample_value("augsvc_job_wait_seconds_sum", {"training_job": job}) == total


def test_a_job_is_active_for_a_while_after_its_last_batch(jobs, now):
    assert jobs.count_active() == 0
    jobs.count(named("a"), 1, 1)
    now[0] = JOB_ACTIVE_S - 1
    jobs.count(named("b"), 1, 1)
    assert jobs.count_active() == 2
    now[0] = JOB_ACTIVE_S + 1
    assert jobs.count_active() == 1
    now[0] = 2 * JOB_ACTIVE_S
    assert jobs.count_active() == 0


@pytest.mark.parametrize("name", ["", "x" * 65, "tab\there", "\x7f", "bell\x07", "caf\xe9"])
def test_an_unprintable_name_is_no_job(registry, jobs, name):
    jobs.count(named(name), 8, 10 * 8)
    assert not any(family.samples for family in registry.collect())


@pytest.mark.parametrize("waited", ["", "-1", "1.5", "nan", "1e9", "9" * 10, "\xb2"])
def test_a_wait_that_is_no_number_of_milliseconds_is_ignored(registry, jobs, samples, waited):
    jobs.count(named("a", Augsvc_Wait_Ms=waited), 8, 10 * 8)
    assert samples("a") == 8
    assert registry.get_sample_value("augsvc_job_wait_seconds_count", {"training_job": "a"}) == 0


def test_names_are_bounded_and_idle_jobs_make_room(registry, jobs, samples, now):
    for number in range(MAX_JOBS):
        jobs.count(named(f"run-{number}", Augsvc_Wait_Ms="1"), 1, 10 * 1)
    jobs.count(named("one too many"), 7, 10 * 7)
    assert (samples("one too many"), samples(OTHER_JOB)) == (None, 7)
    now[0] = JOB_IDLE_S / 2
    jobs.count(named("run-0"), 1, 10 * 1)  # still running
    now[0] = JOB_IDLE_S
    jobs.count(named("new"), 9, 10 * 9)
    assert (samples("run-0"), samples("run-1"), samples("new"), samples(OTHER_JOB)) == (2, None, 9, 7)
    assert registry.get_sample_value("augsvc_job_wait_seconds_count", {"training_job": "run-1"}) is None
    for number in itertools.count(1):
        jobs.count(named(f"later-{number}"), 1, 10 * 1)
        if samples(f"later-{number}") is None:
            break
    names = {sample.labels["training_job"] for family in registry.collect() for sample in family.samples}
    assert len(names) == MAX_JOBS + 1


def test_only_batches_count(server):
    stream = server.open(SPEC)
    job = {"Augsvc-Job": 'a "job"', "Augsvc-Wait-Ms": "250", "Augsvc-Spec": stream["header"]}
    path = f"/v1/streams/{stream['id']}"
    for other in ("/v1/ops", path, f"{path}/epochs/0/samples/0", f"{path}/preview.png"):
        assert server.ask("GET", other, job).status == 200
    assert server.metric("augsvc_job_samples_total", training_job=r"a \"job\"") == 0
    for start in (0, 8):
        assert server.ask("GET", f"{path}/epochs/0?start={start}&count=8", job).status == 200
    assert server.ask("GET", f"{path}/epochs/0?start=0&count=0", job).status == 422
    assert server.metric("augsvc_job_samples_total", training_job=r"a \"job\"") == 16
    assert server.metric("augsvc_job_wait_seconds_sum", training_job=r"a \"job\"") == 0.5


def test_frames_count_their_samples_and_one_wait(server):
    stream = server.open(SPEC)
    job = {"Augsvc-Job": "frames", "Augsvc-Wait-Ms": "250", "Augsvc-Spec": stream["header"]}
    path = f"/v1/streams/{stream['id']}/epochs/0/frames?start=0&count=8&stride=16&frames=3"
    assert server.ask("GET", path, job).status == 200
    assert server.metric("augsvc_job_samples_total", training_job="frames") == 24
    assert server.metric("augsvc_job_wait_seconds_count", training_job="frames") == 1


def test_a_clients_batches_are_those_of_its_job(server):
    with server.client() as client:
        stream = client.stream(SPEC)
        stream.batch(0, 0, 10, waited_s=0.1)
        client.augment({"image": np.zeros((3, 8, 8, 3), np.uint8), "index": np.arange(3)}, pipeline="light")
        assert server.metric("augsvc_job_samples_total", training_job=client.job) == 13
        assert server.metric("augsvc_job_wait_seconds_count", training_job=client.job) == 1


def test_a_loader_may_be_given_its_jobs_name(server):
    image = np.zeros((3, 8, 8, 3), np.uint8)
    with AugmentingDataLoader([(image,)], server.url, fields=("image",), job="own-pushed") as loader:
        assert len(list(loader)) == 1
    assert server.metric("augsvc_job_samples_total", training_job="own-pushed") == 3
    with RemoteDataLoader(server.url, **SPEC, batch_size=10, prefetch=1, job="own-pulled") as loader:
        next(iter(loader))
        assert server.metric("augsvc_job_samples_total", training_job="own-pulled") >= 10
