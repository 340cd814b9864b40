"""Datasets that are always there, from packages or drawn by code, with their fitted statistics."""
