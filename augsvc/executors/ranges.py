"""Work cut into pieces."""


def ranges(n: int, step: int) -> list[slice]:
    """0 … n in pieces of at most `step`."""
    return [slice(at, min(at + step, n)) for at in range(0, n, step)]
