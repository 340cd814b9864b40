"""Uploading a folder: parts of a tar file, each from the offset that the server states."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from augsvc_client.client.folder_tar import FolderTar
from augsvc_client.errors import BadResponse, RequestRefused
from augsvc_client.specification import to_json_types
from augsvc_client.transport.connection import Request, Response
from augsvc_client.wire import DIGEST_HEADER, digest

PART_BYTES = 8 << 20  # what a broken connection costs at most, and the memory that a part takes
Progress = Callable[[str, int, int], None]  # the phase (reading, sending), and how many bytes of how many
_CONFLICT = "upload_conflict"
Call = Callable[[Request, Callable[[Response], Any], Mapping[str, str]], Any]


def push_folder(
    calls: Sequence[Call], folder: Path, name: str, format: str, options: Mapping[str, object], progress: Progress
) -> list[dict[str, Any]]:
    """Uploads a folder to the server of each call, one after the other; raises as `Client.push_dataset`."""
    tar = FolderTar(folder)
    sha256 = tar.sha256(lambda done: progress("reading", done, tar.n_bytes))
    return [Upload(call, tar, name, sha256, format, options).run(progress) for call in calls]


class Upload:
    """One folder on its way to one server. `call` is Client.call, which sends a part again where it failed."""

    def __init__(
        self, call: Call, tar: FolderTar, name: str, sha256: str, format: str, options: Mapping[str, object]
    ) -> None:
        query = {
            "sha256": sha256,
            "format": format,
            "options": json.dumps(to_json_types(dict(options)), allow_nan=False),
        }
        self._path = f"/v1/datasets/{quote(name, safe='')}?{urlencode(query)}"
        self._call, self._tar = call, tar

    def run(self, progress: Progress) -> dict[str, Any]:
        """The server's answer once it serves the dataset. Continues where an earlier upload of the same bytes broke off.

        Raises:
            RequestRefused, ServerUnavailable. ValueError: a file has changed its size.
        """
        state = self._ask()
        while state["state"] != "done":
            progress("sending", state["offset"], self._tar.n_bytes)
            state = self._ask() if state["offset"] == self._tar.n_bytes else self._send(state["offset"])
        progress("sending", self._tar.n_bytes, self._tar.n_bytes)
        return state

    def _ask(self) -> dict[str, Any]:
        """The state; the server answers within 10 s, or when it serves the dataset."""
        return self._put({"Content-Range": f"bytes */{self._tar.n_bytes}"}, b"")

    def _send(self, offset: int) -> dict[str, Any]:
        part = self._tar.read(offset, PART_BYTES)
        end = offset + len(part)
        headers = {"Content-Range": f"bytes {offset}-{end - 1}/{self._tar.n_bytes}", DIGEST_HEADER: digest(part)}
        try:
            return self._put(headers, part)
        except RequestRefused as err:
            if err.code != _CONFLICT:
                raise
            state = self._ask()  # the part may have arrived, and the response been lost
            if state["state"] == "receiving" and state["offset"] <= offset:
                raise
            return state

    def _put(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        request = Request("PUT", self._path, {"Content-Type": "application/x-tar", **headers}, body)
        state: dict[str, Any] = self._call(request, self._accept, {})
        return state

    def _accept(self, response: Response) -> dict[str, Any]:
        state = response.json()
        offset = state.get("offset")
        if state.get("state") not in ("receiving", "verifying", "done") or type(offset) is not int:
            raise BadResponse(f"{response.replica.url} sent no state of an upload")
        if not 0 <= offset <= self._tar.n_bytes:
            raise BadResponse(f"{response.replica.url} stated an offset outside the upload")
        return state
