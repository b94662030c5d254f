"""How a client logs in to a Redis node: ACL user, password, TLS; from the environment, never from a command line."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from provisioning.errors import GauntletError
from provisioning.inventory import Tls
from provisioning.tls import tls_context

USER_VARIABLE = "REDIS_GAUNTLET_USER"
PASSWORD_VARIABLE = "REDIS_GAUNTLET_PASSWORD"
TLS_VARIABLE = "REDIS_GAUNTLET_TLS"
"""1: TLS, verified with the system's CAs where no file of a CA is named; 0: no TLS, whatever else is set."""

TLS_FILE_VARIABLES = ("REDIS_GAUNTLET_TLS_CA", "REDIS_GAUNTLET_TLS_CERT", "REDIS_GAUNTLET_TLS_KEY")
"""Files in PEM: the CA's certificates, a client certificate, its key. Any of them means TLS."""


class LoginError(GauntletError):
    """The environment says how to log in and contradicts itself."""


@dataclass(frozen=True)
class Login:
    """An ACL user (empty: ``default``), a password (empty: none) and TLS files (None: no TLS).

    ``previous_password`` is what nodes may still have while the playbook changes it; only an inventory says it.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls | None = None
    previous_password: str = field(default="", repr=False)


def login_from_environment() -> Login:
    """Return the login that the environment describes; what is not set is empty.

    Raises LoginError for REDIS_GAUNTLET_TLS other than 0 and 1, TlsError for files that cannot be used.
    """
    return Login(os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, ""), _tls())


def _tls() -> Tls | None:
    wanted = os.environ.get(TLS_VARIABLE, "")
    if wanted not in ("", "0", "1"):
        raise LoginError(
            f"{TLS_VARIABLE} is not understood",
            expected="1 for TLS with the system's CAs, 0 for none",
            observed=wanted,
            advice=f"set it to 1 or 0, or name the CA's file in {TLS_FILE_VARIABLES[0]}",
        )
    files = [os.environ.get(name, "") for name in TLS_FILE_VARIABLES]
    if wanted == "0" or not (wanted or any(files)):
        return None
    tls = Tls(*files)
    tls_context(tls)
    return tls
