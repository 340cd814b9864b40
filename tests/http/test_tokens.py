"""Tokens are added, removed and changed while the server runs; each has a byte rate limit."""

import itertools
import os
import signal
import time

import numpy as np
import pytest
import yaml

from augsvc.errors import OverQuota, Unauthorized
from augsvc.http.middleware.tokens import RateLimiter, TokenStore
from augsvc.settings import Settings
from augsvc_client import Client, ServerUnavailable
from augsvc_client import Unauthorized as Refused
from augsvc_client.client import retry as client_retry

ONE, TWO = "a-token-of-one-trainer", "a-token-of-another-one"
SPEC = {"dataset": "digits/train", "size": [32, 32]}


def written(path, **entries):
    """The file at another place and then here, as an editor does it: it is never half there."""
    draft = path.with_suffix(".draft")
    draft.write_text(entries.pop("text", None) or yaml.safe_dump(entries), encoding="utf-8")
    draft.replace(path)
    return path


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# --- quotas


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def allowance(now):
    return RateLimiter(1000, clock=lambda: now[0])


def test_seconds_of_the_engine_have_a_quota_too(tmp_path):
    """Also those of work that was cancelled: a client whose requests all time out costs as much."""
    file = tmp_path / "tokens.yaml"
    file.write_text("a: {token: a-token-with-a-quota, engine_fraction: 0.25}\nb: {token: a-token-without-one}\n")
    store = TokenStore(Settings(tokens_file=file))
    _, quota = store.authenticate(b"Bearer a-token-with-a-quota")
    quota.require()
    store.charge("a", 10.0)
    store.charge("b", 10.0)
    store.charge("job of no token", 10.0)
    with pytest.raises(OverQuota, match="engine time quota exceeded") as caught:
        quota.require()
    assert 38 <= caught.value.retry_after_s <= 40
    store.authenticate(b"Bearer a-token-without-one")[1].require()


def test_the_quota_that_is_used_up_is_named_while_time_passes():
    quota = RateLimiter(1000, 0.5, clock=itertools.count().__next__)
    quota.spend(1_000_000)
    with pytest.raises(OverQuota, match="byte quota exceeded"):
        quota.require()


def test_what_is_spent_is_paid_for_afterwards(allowance, now):
    allowance.require()
    allowance.spend(1000)  # what an idle second has saved
    allowance.require()
    allowance.spend(2500)
    with pytest.raises(OverQuota) as refusal:
        allowance.require()
    assert refusal.value.retry_after_s == 3
    now[0] += 2.4
    with pytest.raises(OverQuota) as refusal:
        allowance.require()
    assert refusal.value.retry_after_s == 1
    now[0] += 0.1
    allowance.require()


def test_more_than_a_second_is_not_saved(allowance, now):
    now[0] += 3600
    allowance.spend(3000)
    assert allowance.owed_s == 2.0


def test_a_client_that_always_comes_back_in_time_gets_its_rate_and_no_more(allowance, now):
    spent, begun = 0, now[0]
    for size in (1, 5000, 20, 999, 3000, 1, 7777):
        now[0] += allowance.owed_s
        allowance.require()
        allowance.spend(size)
        spent += size
        assert spent <= 1000 * (now[0] + allowance.owed_s - begun + 1) + 1e-6


def test_without_a_quota_nothing_is_owed(now):
    allowance = RateLimiter(None, clock=lambda: now[0])
    allowance.spend(1 << 60)
    allowance.require()


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory):
    entries = {"one": {"token": ONE, "bytes_per_s": 12_000}, "two": {"token": TWO}}
    return written(tmp_path_factory.mktemp("tokens") / "tokens.yaml", **entries)


@pytest.fixture(scope="module")
def guarded(serve, tokens_file):
    serving = serve(tokens_file=str(tokens_file), cache_bytes=1 << 20)
    serving.token = TWO
    return serving.ready()


def over_quota(serving):
    text = serving.ask("GET", "/metrics", bearer(TWO)).body.decode()
    lines = [
        line.split()[-1] for line in text.splitlines() if line.startswith('augsvc_errors_total{code="over_quota"}')
    ]
    return float(lines[0]) if lines else 0.0


def test_over_quota_is_refused_with_a_retry_after(guarded):
    with guarded.client() as client:
        stream = client.stream(SPEC)
    path = f"/v1/streams/{stream.id}/epochs/0?start=0&count=100"  # 100 kB: eight seconds of the quota
    assert guarded.ask("GET", path, bearer(ONE)).status == 200
    refused = guarded.ask("GET", path, bearer(ONE))
    refused.refused(429, "over_quota")
    assert 1 <= int(refused.headers["retry-after"]) <= 9
    guarded.ask("GET", "/v1/ops", bearer(ONE)).refused(429, "over_quota")
    assert guarded.ask("GET", "/healthz", bearer(ONE)).status == 200
    assert guarded.ask("GET", path, bearer(TWO)).status == 200


@pytest.mark.slow
def test_the_client_waits_for_retry_after_and_gets_its_bytes(serve, tmp_path, monkeypatch):
    """It asks once more after a refusal, and not again and again meanwhile."""
    pauses = []

    class Heard(client_retry.RetryState):
        def failed(self, replica, err):
            pauses.append(err.after_s)
            return super().failed(replica, err)

    path = written(tmp_path / "tokens.yaml", one={"token": ONE, "bytes_per_s": 8_000}, two={"token": TWO})
    serving = serve(tokens_file=str(path))
    serving.token = TWO
    serving.ready()
    with serving.client() as client:
        wanted = client.stream(SPEC).batch(0, 0, 16)
    monkeypatch.setattr("augsvc_client.client.client.RetryState", Heard)
    with Client(serving.url, token=ONE, wait_s=60) as client:
        stream = client.stream(SPEC)
        for _ in range(3):  # 16 kB each
            assert np.array_equal(stream.batch(0, 0, 16)["image"], wanted["image"])
    assert 1 <= len(pauses) <= 4  # without Retry-After it would retry every 50 to 100 ms
    assert over_quota(serving) == len(pauses)
    assert all(after_s >= 1 for after_s in pauses)


def test_the_clients_wait_has_jitter():
    replica = client_retry.Replica.parse("http://127.0.0.1:1")
    until = set()
    for _ in range(20):
        state = client_retry.RetryState([replica], 60, {})
        begun = client_retry.time.monotonic()
        state.failed(replica, client_retry.RetryLater("busy", 10.0))
        until.add(round(state._not_before_s[replica] - begun, 2))
        assert 10.0 <= state._not_before_s[replica] - begun <= 13.0
    assert len(until) > 10


def test_an_answer_of_frames_is_slowed_down_and_not_cut(guarded, tokens_file):
    with guarded.client() as client:
        wanted = [batch["image"] for batch in client.stream(SPEC).frames(1, 0, 8, stride=8, frames=12)]
    third = "a-token-of-a-third-one"  # which owes nothing from before
    written(tokens_file, three={"token": third, "bytes_per_s": 60_000}, two={"token": TWO})
    before = over_quota(guarded)
    with Client(guarded.url, token=third, wait_s=60) as client:
        stream, began = client.stream(SPEC), time.monotonic()
        got = [batch["image"] for batch in stream.frames(1, 0, 8, stride=8, frames=12)]
    assert time.monotonic() - began > 0.4  # 88 kB before the last frame, of which 60 kB are free: 0.47 s
    assert np.array_equal(np.stack(got), np.stack(wanted))
    assert over_quota(guarded) == before


# --- the file changes


@pytest.fixture
def keyring(tmp_path):
    path = written(tmp_path / "tokens.yaml", one={"token": ONE, "bytes_per_s": 1000}, two={"token": TWO})
    return TokenStore(Settings(tokens_file=path)), path


def known(keyring, token):
    try:
        return keyring.authenticate(f"Bearer {token}".encode())[0]
    except Unauthorized:
        return None


@pytest.mark.parametrize(
    "text", ["", "[", "one: {token: short}", "one: {token: a-token-of-a-third-one, bytes_per_s: 0}", "one: 5", None]
)
def test_a_broken_file_leaves_the_tokens_that_were_and_says_so_once(keyring, caplog, text):
    ring, path = keyring
    if text is None:
        path.unlink()
    else:
        written(path, text=text or "# nothing\n")
    for _ in range(3):
        assert (known(ring, ONE), known(ring, TWO)) == ("one", "two")
    warnings = [record for record in caplog.records if "stay valid" in record.message]
    assert len(warnings) == 1
    assert "a-token" not in warnings[0].message
    written(path, three={"token": "a-token-of-a-third-one"})
    assert [known(ring, token) for token in (ONE, TWO, "a-token-of-a-third-one")] == [None, None, "three"]


def test_what_is_owed_stays_owed_when_the_file_changes(keyring):
    ring, path = keyring
    ring.authenticate(f"Bearer {ONE}".encode())[1].spend(50_000)
    written(path, one={"token": ONE, "bytes_per_s": 2000}, two={"token": TWO})
    assert ring.authenticate(f"Bearer {ONE}".encode())[1].owed_s > 1
    written(path, one={"token": ONE})
    assert ring.authenticate(f"Bearer {ONE}".encode())[1].owed_s == 0


def test_a_file_that_looks_as_before_is_read_again_when_it_is_asked_for(keyring):
    ring, path = keyring
    before = path.stat()
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(ONE, "another-token-so-long."), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known(ring, ONE) == "one"
    ring.invalidate()
    assert (known(ring, ONE), known(ring, "another-token-so-long.")) == (None, "one")


def test_a_revoked_token_is_refused_from_the_next_request_on_and_a_new_one_let_in(serve, tmp_path):
    path = written(tmp_path / "tokens.yaml", one={"token": ONE}, two={"token": TWO})
    serving = serve(tokens_file=str(path))
    serving.token = TWO
    serving.ready()
    new = "a-token-of-somebody-new"
    assert [serving.ask("GET", "/v1/ops", bearer(token)).status for token in (ONE, TWO, new)] == [200, 200, 401]
    with Client(serving.url, token=ONE, wait_s=60) as client:
        stream = client.stream(SPEC)
        written(path, two={"token": TWO}, three={"token": new})
        with pytest.raises(Refused):
            stream.batch(0, 0, 4)
    assert [serving.ask("GET", "/v1/ops", bearer(token)).status for token in (ONE, TWO, new)] == [401, 200, 200]
    written(path, text="two: {")
    assert [serving.ask("GET", "/v1/ops", bearer(token)).status for token in (ONE, TWO, new)] == [401, 200, 200]
    serving.until(lambda: "stay valid" in serving.output())
    written(path, four={"token": ONE})
    serving.signal(signal.SIGHUP)
    assert [serving.ask("GET", "/v1/ops", bearer(token)).status for token in (ONE, TWO)] == [200, 401]
    assert serving.process.poll() is None
    assert not any(token in serving.output() for token in (ONE, TWO, new))


def test_a_client_that_cannot_wait_so_long_says_why(guarded, tokens_file):
    written(tokens_file, one={"token": ONE, "bytes_per_s": 1}, two={"token": TWO})
    assert guarded.ask("GET", "/v1/ops", bearer(ONE)).status in (200, 429)
    with Client(guarded.url, token=ONE, wait_s=0.5) as client, pytest.raises(ServerUnavailable, match="over_quota"):
        client.datasets()
