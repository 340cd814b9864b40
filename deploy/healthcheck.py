"""Whether the server in this container can serve: exit 0 or 1. The standard library alone, so that it takes no time.

Asks 127.0.0.1, or the Unix socket that AUGSVC_UDS names, by http.client, which unlike urllib never goes through a proxy that
the environment names.
"""

import http.client
import os
import socket
import sys

WAIT_S = 4  # below the HEALTHCHECK's own --timeout, so that the reason is told

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("AUGSVC_PORT", "8000")), timeout=WAIT_S)
try:
    if path := os.environ.get("AUGSVC_UDS"):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_S)
        connection.sock.connect(path)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
except (OSError, http.client.HTTPException) as err:
    sys.exit(f"no answer: {err}")
if status != 200:
    sys.exit(f"/readyz answers {status}")
