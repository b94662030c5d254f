"""Why ssh did not get in, from what it says: one line, and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioning.hosts.ssh_login import SshLogin


@dataclass(frozen=True)
class SshFailure:
    """``reason`` in one line, and ``advice`` where there is better than to try by hand."""

    reason: str
    advice: str = ""

    @classmethod
    def read(cls, said: str, login: SshLogin) -> SshFailure:
        """Return what ssh's standard error means; the first row of the table that fits, else its last line."""
        for pattern, reason, advice in MEANINGS:
            if found := re.search(pattern, said):
                return cls(reason.format(*found.groups(), login=login), advice.format(login=login))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return cls(lines[-1][:200] if lines else "ssh failed without a word")


MEANINGS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed",
        "its host key is another than the known one",
        "find out why before anything else; if it is right, remove the old key: ssh-keygen -R {login.known_as}",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        "its host key is not known here",
        "compare the key and log in once by hand: {login.by_hand}",
    ),
    (
        r"(Permission denied \([\w,-]*\))",
        "user {login.user_name} is refused: {0}",
        "a wrong key, one with a passphrase (then an agent is needed), or no such user; try by hand: {login.by_hand}",
    ),
    (r"Too many authentication failures", "too many keys were offered", "name one: ansible_ssh_private_key_file"),
    (r"Could not resolve hostname ([^:\s]+)", "the name {0} has no address here", "correct ansible_host"),
    (r"Connection refused", "nothing listens for SSH at port {login.shown_port}: connection refused", ""),
    (r"[Tt]imed out", "no answer: the connection timed out", "see that the host is up and lets this machine in"),
    (r"No route to host|Network is unreachable", "no way there: {login.destination} has no route", ""),
    (r"Connection to \S+ closed by remote host", "the connection was lost", ""),
    (
        r"kex_exchange_identification|Connection (?:closed|reset) by|banner exchange",
        "the connection was closed before the login",
        "",
    ),
)
"""(what ssh says, what that means, what to do), the more telling first: ssh often says several things."""
