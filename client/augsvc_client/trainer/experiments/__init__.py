"""Runs, ensembles, ablations and pre-training checks."""
