"""Datasets that clients upload: received in parts, unpacked, opened, and kept in a folder of the server."""
