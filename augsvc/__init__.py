"""augsvc: a data-augmentation service in which a batch is a value, a pure function of its address."""

__version__ = "0.1.0"
