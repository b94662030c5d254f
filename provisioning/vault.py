"""ansible-vault: what it encrypted, and its plain text, through the tool itself and the user's settings for it.

ansible-vault finds the vault password as it does for Ansible: ANSIBLE_VAULT_PASSWORD_FILE,
ANSIBLE_VAULT_IDENTITY_LIST, ansible.cfg. Cipher and plain text go through its standard input and
output only. It is never let ask for a password.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.errors import InventoryError

HEADER = "$ANSIBLE_VAULT;"
"""What an encrypted text begins with."""

DECRYPT_SECONDS = 60.0
"""How long it may take; without a script that fetches the password it takes half a second."""

SAID = re.compile(r"^\[?(?:ERROR|WARNING)\]?!?:? *(.*)", re.MULTILINE)


class VaultError(InventoryError):
    """What ansible-vault encrypted cannot be decrypted here."""


@dataclass(frozen=True)
class Encrypted:
    """A value that ansible-vault encrypted: its cipher text."""

    text: str

    def __repr__(self) -> str:
        return "<encrypted>"


class Vault:
    """Decrypts what one inventory has, each text once; ``source`` is the inventory's name in messages."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._plain: dict[str, str] = {}

    def opened(self, value: Any, what: str) -> Any:
        """Return the value with all that is encrypted in it decrypted; ``what`` names it. Raises VaultError."""
        if isinstance(value, Encrypted):
            return self.decrypted(value.text, what)
        if isinstance(value, Mapping):
            return {key: self.opened(each, what) for key, each in value.items()}
        if isinstance(value, list):
            return [self.opened(each, what) for each in value]
        return value

    def decrypted(self, text: str, what: str) -> str:
        """Return the plain text. Raises VaultError: no ansible-vault, no password or a wrong one, damaged."""
        if text not in self._plain:
            self._plain[text] = self._decrypt(text, what)
        return self._plain[text]

    def _decrypt(self, text: str, what: str) -> str:
        command = _command()
        if command is None:
            raise self._refusal(
                what,
                "there is no ansible-vault beside this Python nor on PATH",
                "make ansible, or set REDIS_GAUNTLET_PASSWORD and leave redis_password out",
            )
        plain, observed = _run(command, text)
        if plain is None:
            advice = "name the file with the vault password in ANSIBLE_VAULT_PASSWORD_FILE"
            raise self._refusal(what, observed, advice)
        return plain

    def _refusal(self, what: str, observed: str, advice: str) -> VaultError:
        return VaultError(
            f"the inventory {self._source} cannot be used: {what} cannot be decrypted",
            expected="ansible-vault decrypts it with the vault password that Ansible would use",
            observed=observed,
            advice=advice,
        )


def _command() -> str | None:
    """Return ansible-vault: the one beside this Python, else that on PATH, else None."""
    beside = Path(sys.executable).with_name("ansible-vault")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("ansible-vault")


def _run(command: str, text: str) -> tuple[str | None, str]:
    """Return the plain text, or None and why there is none."""
    try:
        ended = subprocess.run(
            [command, "decrypt"],
            input=text.encode(),
            capture_output=True,
            timeout=DECRYPT_SECONDS,
            check=False,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            start_new_session=True,  # without a terminal there is nobody to ask
        )
    except OSError as problem:
        return None, f"{command}: {problem.strerror}"
    except subprocess.TimeoutExpired:
        return None, f"ansible-vault did not end within {DECRYPT_SECONDS:.0f} s"
    if ended.returncode:
        return None, _reason(ended.stderr.decode(errors="replace"))
    try:
        return ended.stdout.decode(), ""
    except UnicodeDecodeError:
        return None, "its plain text is no UTF-8"


def _reason(said: str) -> str:
    """Return in one line why ansible-vault failed; what others wrote to its standard error is left out."""
    if "Vault password:" in said:
        return "no vault password is set: ansible-vault wants to ask for one"
    if "Decryption failed" in said:
        return "the vault password does not decrypt it"
    found = SAID.findall(said)
    return str(found[-1]).strip()[:200] if found else "ansible-vault failed without a word"
