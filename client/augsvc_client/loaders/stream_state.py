"""What a loader's state says of its stream, and the differences of another stream from it."""

from collections.abc import Mapping
from typing import Any

from augsvc_client.client.retry import IDENTITY
from augsvc_client.client.stream import Stream, is_stream_id

DESCRIBED = ("spec", *IDENTITY, "samples")  # entries of every state
_DATA = ("dataset_version", "samples")
_PARTNERS = "partners"  # an entry of states of streams that have some


def describe_stream(stream: Stream) -> dict[str, Any]:
    """The entries of a state that describe its stream."""
    entries = {name: getattr(stream, name) for name in DESCRIBED}
    return {**entries, _PARTNERS: stream.partners} if stream.partners else entries


def has_other_partners(stream: Stream, state: Mapping[str, Any]) -> bool:
    """Whether a stream is that of a state but for its id, which then is of other versions of its partners' datasets."""
    same = all(state[name] == getattr(stream, name) for name in DESCRIBED if name != "id")
    return same and is_stream_id(state["id"]) and state["id"] != stream.id


def data_differences(own: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    """The differences of the data that a stream reads, for a message; none where the ids are equal.

    States from before partners were described are compared by their ids, as long as the arithmetic is the same.
    """
    if own["id"] == state["id"]:
        return []
    differences = [_both(name, own[name], state[name]) for name in _DATA if own[name] != state[name]]
    ours, theirs = own.get(_PARTNERS, {}), state.get(_PARTNERS, {})
    if isinstance(theirs, Mapping) and theirs:
        differences += [
            _both(f"the version of {name}, which partners are taken from", ours.get(name), theirs.get(name))
            for name in sorted(ours.keys() | theirs.keys())
            if ours.get(name) != theirs.get(name)
        ]
    if not differences and all(own[name] == state[name] for name in ("spec", "arithmetic")):
        cause = f", as the version of {' or '.join(sorted(ours))} has changed" if ours else ""
        differences.append(_both("id", own["id"], state["id"]) + cause)
    return differences


def _both(name: str, here: object, there: object) -> str:
    return f"{name} ({there} in the state, {here} here)"
