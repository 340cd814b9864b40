"""Datasets: sources of samples, their formats, decoders, cache and fitted statistics."""
