"""Exact arithmetic: counters, permutation, geometry, colour, the same bits on every CPU."""
