"""Settings that every test shares."""

from hypothesis import settings

settings.register_profile("augsvc", deadline=None, derandomize=True, max_examples=40)  # no test depends on time or luck
settings.load_profile("augsvc")
