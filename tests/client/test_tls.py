"""Encryption that does not fit is an error immediately, and names the cure: real sockets, certificates and handshakes."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from replica import Replica

from augsvc_client import Client, ServerUnavailable
from augsvc_client.transport.tls import describe_tls_error, is_lasting

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, for certificates")
WAIT_S, SOON_S = 120, 60  # the first is never waited for


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Self-signed: `ours` and `another` for 127.0.0.1, `elsewhere` for another host."""
    folder = tmp_path_factory.mktemp("tls")
    key = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2", "-subj", "/CN=augsvc"]
    for name, host in (("ours", "IP:127.0.0.1"), ("another", "IP:127.0.0.1"), ("elsewhere", "DNS:example.org")):
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        command = ["openssl", "req", "-x509", *key, "-addext", f"subjectAltName={host}", *files]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@contextmanager
def serving(certificates, name, **options):
    """A replica with TLS: the address, and the list of its connections."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    for option, value in options.items():
        setattr(context, option, value)
    if context.verify_mode == ssl.CERT_REQUIRED:
        context.load_verify_locations(certificates / "ours.pem")
    with Replica() as replica, socket.create_server(("127.0.0.1", 0)) as listener:
        accepted = []
        thread = threading.Thread(target=terminate, args=(listener, context, replica.port, accepted), daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", accepted
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def terminate(listener, context, port, accepted):
    """As a proxy that ends TLS: one request and its response for each connection."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        accepted.append(plain)
        try:
            with (
                plain,
                context.wrap_socket(plain, server_side=True) as wrapped,
                socket.create_connection(("127.0.0.1", port)) as behind,
            ):
                if request := wrapped.recv(65536):
                    behind.sendall(request)
                    wrapped.sendall(behind.recv(65536))
        except OSError:
            continue


def refusal(url):
    """What a call says, and that it did not wait."""
    started_s = time.monotonic()
    with Client(url, wait_s=WAIT_S) as client, pytest.raises(ServerUnavailable) as refused:
        client.version()
    assert time.monotonic() - started_s < SOON_S
    message = str(refused.value)
    assert message.startswith("no augsvc server can be used at urls=: ")
    return message


def test_a_certificate_that_is_not_trusted(certificates, monkeypatch, caplog):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with serving(certificates, "ours") as (address, accepted):
        assert "is not trusted: set SSL_CERT_FILE to a PEM file" in refusal(f"https://{address}")
        assert len(accepted) == 1
        assert "not retried there" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "another.pem"))
        assert "is not trusted" in refusal(f"https://{address}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "none.pem"))
        assert "none.pem', no file" in refusal(f"https://{address}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ours.pem"))  # the cure
        with Client(f"https://{address}", wait_s=WAIT_S) as client:
            assert client.version()


def test_a_certificate_for_another_host(certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "elsewhere.pem"))
    with serving(certificates, "elsewhere") as (address, _):
        assert "is for another name: use the one in the certificate" in refusal(f"https://{address}")


def test_http_where_the_server_has_tls(certificates):
    with serving(certificates, "ours") as (address, _):
        assert "the server has TLS; use https://" in refusal(f"http://{address}")


def test_a_certificate_of_the_client_that_is_required(certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ours.pem"))
    with serving(certificates, "ours", verify_mode=ssl.CERT_REQUIRED) as (address, _):
        assert "requires a TLS certificate of its clients" in refusal(f"https://{address}")


def test_no_version_in_common(certificates, monkeypatch):
    """The client asks for 1.2 or later; the server has 1.3 only, which a client may have switched off."""
    original = ssl.create_default_context
    context = original(cafile=certificates / "ours.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    monkeypatch.setattr(ssl, "_create_default_https_context", lambda: context)
    with serving(certificates, "ours", minimum_version=ssl.TLSVersion.TLSv1_3) as (address, _):
        assert "no version of TLS in common" in refusal(f"https://{address}")


def test_another_replica_is_used(certificates, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with (
        serving(certificates, "ours") as (address, _),
        Replica() as good,
        Client([f"https://{address}", f"http://{address}", good.url], wait_s=WAIT_S) as client,
    ):
        for _ in range(3):
            assert client.version()


@pytest.mark.parametrize("code", [9, 10], ids=["not yet valid", "expired"])
def test_a_certificate_that_may_be_renewed_is_waited_for(code):
    err = ssl.SSLCertVerificationError()
    err.verify_code = code
    assert not is_lasting(err)
    assert "has expired, or is not valid yet" in describe_tls_error(err)
