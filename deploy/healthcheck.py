"""Exits with 0 if the server in this container is ready, else with 1. Imports only the standard library, so that it is fast.

Requests 127.0.0.1, or the Unix socket AUGSVC_UDS, with http.client, which unlike urllib uses no proxy from the environment.
"""

import http.client
import os
import socket
import sys

WAIT_S = 4  # below the HEALTHCHECK's own --timeout, so that the reason is reported
MOST_BYTES = 2000  # of an answer, which says how far a start is
DEFAULT_PORT = "8000"

port = os.environ.get("AUGSVC_PORT", DEFAULT_PORT)
if "://" in port:  # a Kubernetes Service named augsvc sets it to tcp://ADDRESS:PORT, which the server ignores too
    port = DEFAULT_PORT
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=WAIT_S)
try:
    if path := os.environ.get("AUGSVC_UDS"):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(WAIT_S)
        connection.sock.connect(path)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    status, text = response.status, response.read(MOST_BYTES).decode(errors="replace")
except (OSError, http.client.HTTPException) as err:
    sys.exit(f"no answer: {err}")
if status != 200:
    sys.exit(f"/readyz answers {status}: {text}")
