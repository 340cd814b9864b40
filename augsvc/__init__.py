"""augsvc: a data-augmentation service in which a batch is a value, a pure function of its address."""

from importlib.metadata import version

__version__ = version("augsvc")
