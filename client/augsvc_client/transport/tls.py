"""Why a connection fails for its encryption, which waiting does not change, and what does."""

import os
import socket
import ssl
from pathlib import Path

# OpenSSL's names of errors
_PLAIN_HTTP = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")  # an answer that is not TLS
_NO_COMMON_VERSION = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
_CLIENT_CERTIFICATE = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE")
# and its numbers of a certificate's faults (x509_vfy.h)
_TIMES = (9, 10)  # not yet valid, expired: it may be renewed
_NAMES = (62, 64)  # of another host, or of another address


def describe_tls_error(err: ssl.SSLError) -> str:
    """What is wrong, and the cure, without the library's text."""
    reason = getattr(err, "reason", None) or ""
    if isinstance(err, ssl.SSLCertVerificationError):
        return _describe_certificate(getattr(err, "verify_code", 0))
    if reason in _PLAIN_HTTP:
        return "the TLS handshake failed: the server speaks plain HTTP; use http://"
    if reason in _NO_COMMON_VERSION:
        return "the TLS handshake failed: the server and this Python have no version of TLS in common"
    if reason in _CLIENT_CERTIFICATE:
        return "the server requires a TLS certificate of its clients, which this client does not send"
    return "the TLS handshake failed"


def _describe_certificate(code: int) -> str:
    if code in _TIMES:
        return "the server's TLS certificate has expired, or is not valid yet, by this machine's clock"
    if code in _NAMES:
        return "the server's TLS certificate is for another name: use the one in the certificate as the host in urls="
    named = os.environ.get("SSL_CERT_FILE")
    given = f", which is now {named!r}, no file" if named and not Path(named).is_file() else ""
    return (
        "the server's TLS certificate is not trusted: set SSL_CERT_FILE to a PEM file with the certificate of its "
        f"authority, or with its own if it is self-signed{given}"
    )


def is_noise(err: Exception) -> bool:
    """Whether damaged bytes would look like this error too, so that once is not enough."""
    return isinstance(err, ssl.SSLError) and getattr(err, "reason", "") in _PLAIN_HTTP


def is_lasting(err: Exception) -> bool:
    """Whether every later handshake would fail like this one."""
    if isinstance(err, ssl.SSLCertVerificationError):
        return getattr(err, "verify_code", 0) not in _TIMES
    return getattr(err, "reason", "") in (*_PLAIN_HTTP, *_NO_COMMON_VERSION, *_CLIENT_CERTIFICATE)


def speaks_tls(host: str, port: int, timeout_s: float) -> bool:
    """Whether a handshake gets as far as a certificate there; it sends nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout_s) as plain, context.wrap_socket(plain):
            return True
    except (OSError, ValueError):
        return False
