"""Smooth displacements."""
