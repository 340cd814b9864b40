"""The one error of the decoders."""


class Undecodable(Exception):
    """A file was read completely and cannot be decoded. The service replaces the sample, and counts it."""
