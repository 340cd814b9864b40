"""SIGTERM between the opening of datasets and that of the port ends the process as an exit does: copies of tables are removed."""

import signal
import sys

import pytest

from augsvc.cli import serve as command
from augsvc.cli import serving
from augsvc.settings import Settings


class Terminated:
    """Sends the signal when a module is imported."""

    def __init__(self, name):
        self._name = name

    def find_spec(self, name, *_):
        if name == self._name:
            signal.raise_signal(signal.SIGTERM)


def ends(run):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_while_torch_is_loaded(monkeypatch):
    monkeypatch.setattr(command, "set_up", lambda log_format: None)
    monkeypatch.delitem(sys.modules, "augsvc.cli.serving")
    monkeypatch.setattr(sys, "meta_path", [Terminated("augsvc.cli.serving"), *sys.meta_path])
    ends(lambda: command.serve(None, {"port": 0}))


def test_while_the_application_is_made(monkeypatch):
    monkeypatch.setattr(serving, "create_app", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    ends(lambda: serving.serve_catalog(Settings(port=0), None, None))
