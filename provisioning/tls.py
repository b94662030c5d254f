"""TLS to a Redis node: what is verified, and in words what went wrong.

The chain of the server's certificate is always verified. The name in it is not checked where the CA's
file is named: clusters are dialled at the addresses that they announce, which certificates rarely carry,
and Redis nodes and redis-cli check no name either. With the system's CAs it is checked: any site's
certificate would do otherwise.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from provisioning.errors import GauntletError
from provisioning.inventory import Tls


class TlsError(GauntletError):
    """A TLS file is missing, cannot be read, or holds something else."""


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return what a connection with these files is wrapped with. Raises TlsError naming the file."""
    if tls.key_file and not tls.cert_file:
        raise _refusal(tls.key_file, "a key without a certificate")
    for file in filter(None, (tls.ca_file, tls.cert_file, tls.key_file)):
        try:
            Path(file).open("rb").close()
        except (OSError, ValueError) as problem:  # ValueError: no name of a file
            raise _refusal(file, getattr(problem, "strerror", None) or str(problem)) from None
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
    except ssl.SSLError as problem:
        raise _refusal(tls.ca_file, f"no certificate of a CA in PEM ({_words(problem)})") from None
    context.check_hostname = not tls.ca_file
    if tls.cert_file:
        try:
            # An empty password: OpenSSL would ask on the terminal for that of an encrypted key.
            context.load_cert_chain(tls.cert_file, tls.key_file or None, password="")
        except ssl.SSLError as problem:
            files = " and ".join(filter(None, (tls.cert_file, tls.key_file)))
            raise _refusal(files, f"no certificate in PEM with its key, unencrypted ({_words(problem)})") from None
    return context


def handshake_failure(problem: OSError, tls: Tls) -> str:
    """Return in one line why the handshake failed."""
    trusted = tls.ca_file or "the system's CAs"
    if isinstance(problem, ssl.SSLCertVerificationError):
        why = f"TLS: its certificate is not good for {trusted}: {problem.verify_message}"
        return f"{why} (not checked where the CA's file is named)" if "mismatch" in problem.verify_message else why
    if isinstance(problem, TimeoutError):
        return "TLS: no handshake within the deadline; a port without TLS is as silent"
    if isinstance(problem, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(problem.reason):
        return "TLS: it asks for a client certificate"
    said = _words(problem) if isinstance(problem, ssl.SSLError) else str(problem)
    return f"TLS: no handshake: {said}; perhaps a port without TLS"


def _words(problem: ssl.SSLError) -> str:
    return str(problem.reason or problem).replace("_", " ").lower()


def _refusal(file: str, observed: str) -> TlsError:
    return TlsError(
        "the TLS files cannot be used",
        expected="files in PEM that can be read here: the CA's certificates; a certificate and its key",
        observed=f"{file}: {observed}",
        advice="correct REDIS_GAUNTLET_TLS_CA, _CERT and _KEY, or the inventory's redis_tls_*_file",
    )
