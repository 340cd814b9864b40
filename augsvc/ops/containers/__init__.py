"""Containers and policies: one a file."""
