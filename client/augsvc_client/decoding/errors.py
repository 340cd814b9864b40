"""The one error of the decoders."""


class Undecodable(Exception):
    """A file was read completely and cannot be decoded. The service replaces the sample, and counts it.

    The message is a short phrase that does not change, after which a colon and the file's numbers may follow; it never
    holds a path or a library's text.
    """
