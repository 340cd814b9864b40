"""Formats of datasets that an operator can configure, one module each."""
