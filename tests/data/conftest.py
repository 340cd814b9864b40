"""What tests of several formats share."""

import pytest

from augsvc.data.formats import object_store
from tests.data.stores import Store


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(object_store, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(object_store, "_RETRYING_S", 0.5)
    monkeypatch.setattr(object_store, "_SILENCE_S", 0.2)
    store = Store()
    yield store
    store.close()
