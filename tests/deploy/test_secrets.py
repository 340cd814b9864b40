"""make-secrets.sh: what it makes is what server and client read."""

import shutil
import stat
import subprocess

import pytest
import yaml

from augsvc.settings import Settings
from tests.deploy.composed import DEPLOY, composed, make_secrets


@pytest.fixture
def deploy(tmp_path):
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    return tmp_path


def tokens(deploy):
    found = Settings(tokens_file=deploy / "secrets" / "tokens.yaml").tokens()
    return {name: entry.token.get_secret_value() for name, entry in found.items()}


def test_every_secret_of_compose_yaml_is_made(deploy):
    make_secrets(deploy)
    for secret in composed()["secrets"].values():
        assert (deploy / secret["file"]).exists()
    known = tokens(deploy)
    assert sorted(known) == ["operator", "trainer-1", "trainer-2"]
    for name, token in known.items():
        assert (deploy / "secrets" / f"{name}.token").read_text(encoding="ascii").strip() == token
        assert len(token) == 64


def test_more_names_leave_the_first_ones_as_they_are(deploy):
    make_secrets(deploy)
    before = tokens(deploy)
    assert "trainer-1" not in make_secrets(deploy, "trainer-1", "trainer-3")
    after = tokens(deploy)
    assert {name: token for name, token in after.items() if name != "trainer-3"} == before
    assert len(set(after.values())) == 4


def test_a_folder_that_exists_is_closed_to_others(deploy):
    (deploy / "secrets").mkdir(mode=0o755)
    make_secrets(deploy)
    assert stat.S_IMODE((deploy / "secrets").stat().st_mode) == 0o700


def test_others_on_this_machine_cannot_reach_them_and_the_container_s_user_can_read_them(deploy):
    make_secrets(deploy)
    assert stat.S_IMODE((deploy / "secrets").stat().st_mode) == 0o700
    for file in (deploy / "secrets").iterdir():
        assert file.stat().st_mode & stat.S_IROTH, file


@pytest.mark.parametrize("name", ["", "a b", "../x", 'a": {token', "ä"])
def test_a_name_that_is_none_is_refused(deploy, name):
    done = subprocess.run([deploy / "make-secrets.sh", name], capture_output=True, text=True)
    assert done.returncode == 2
    assert "a name has" in done.stderr
    assert not (deploy / "secrets" / "tokens.yaml").exists()


def test_git_never_takes_them():
    ignored = (DEPLOY.parent / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "deploy/secrets/" in ignored
    assert yaml.safe_load((DEPLOY / "settings.yaml").read_text(encoding="utf-8")).get("tokens_file") is None
