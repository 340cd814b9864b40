"""Streams: a specification made ready over a dataset, rendering, previews, pushed samples, the self-test."""
