"""A small object store: what obstore needs of S3 to list and read, and of a plain HTTP server."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"
SECRET = "do-not-show-this-secret"  # noqa: S105 - of no account
OPTIONS = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET, "allow_http": "true"}


class Store:
    """Objects by name, on a free port; `status` is what every request is answered with, if it is not 0."""

    def __init__(self):
        self.objects, self.status, self.requests, self.page, self.is_closed = {}, 0, [], 1000, False
        self.has_ranges = True
        handler = type("Handler", (_Handler,), {"store": self})
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def settings(self, prefix=""):
        """The place of objects below a prefix, as settings."""
        return {"url": f"s3://{BUCKET}/{prefix}", "store": OPTIONS | {"endpoint": self.endpoint}}

    def put_folder(self, folder, prefix=""):
        """Puts all files below a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.objects[prefix + path.relative_to(folder).as_posix()] = path.read_bytes()

    def close(self):
        self.is_closed = True
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.store.is_closed:  # a connection that is still open
            self.close_connection = True
            return
        self.store.requests.append((self.command, self.path, self.headers.get("Range")))
        if self.store.status == "hang":
            self.store.released.wait()
            self.close_connection = True
        elif self.store.status:
            self._answer(self.store.status, f"{SECRET} http://internal.example".encode())
        else:
            self._serve()

    def _serve(self):
        url = urlsplit(self.path)
        name = unquote(url.path).removeprefix(f"/{BUCKET}").removeprefix("/")
        if "list-type" in url.query:
            self._list({key: values[0] for key, values in parse_qs(url.query).items()})
        elif name not in self.store.objects:
            self._answer(404, b"")
        else:
            self._read(self.store.objects[name])

    do_HEAD = do_GET

    def _list(self, query):
        names = sorted(name for name in self.store.objects if name.startswith(query.get("prefix", "")))
        start = int(query.get("continuation-token", "0"))
        page = names[start : start + self.store.page]
        rest = start + len(page)
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>2026-01-01T00:00:00.123Z</LastModified><ETag>&quot;"
            f"{_tag(self.store.objects[name])}&quot;</ETag><Size>{len(self.store.objects[name])}</Size></Contents>"
            for name in page
        )
        more = f"<NextContinuationToken>{rest}</NextContinuationToken>" if rest < len(names) else ""
        truncated = "true" if more else "false"
        text = f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{contents}{more}</ListBucketResult>"
        self._answer(200, text.encode())

    def _read(self, data):
        headers = {"ETag": f'"{_tag(data)}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked and self.store.has_ranges:
            start, stop = int(asked[1]), min(int(asked[2]) + 1, len(data))
            if start >= len(data):
                self._answer(416, b"")
                return
            self._answer(206, data[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})
        else:
            self._answer(200, data, headers)

    def _answer(self, status, body, headers={}):  # noqa: B006
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(data):
    return hashlib.sha256(data).hexdigest()
