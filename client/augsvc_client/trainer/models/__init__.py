"""The included networks and their layers."""
