"""How a host is entered over SSH: Ansible's variables as a command line of ssh."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from provisioning.ansible_value import typed
from provisioning.errors import GauntletError, InventoryError
from provisioning.inventory import Host

CONNECT_SECONDS = 5
"""How long a host may take from the first packet to the exchange of keys; on a LAN it takes milliseconds."""

CONNECTIONS = ("ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.netcommon.paramiko")
"""Values of ansible_connection that mean SSH."""

ARGUMENTS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
"""Further options of ssh, in the order in which Ansible gives them."""


class HostUnreachable(GauntletError):
    """A real host cannot be entered, or did not do in time what it was told; ``observed`` is the reason in one line."""


@dataclass(frozen=True)
class SshLogin:
    """Where, as whom and with which key; ``become`` is the user to be there by sudo, empty without."""

    destination: str
    port: int | None = None
    user: str = ""
    key_file: str = ""
    further: tuple[str, ...] = ()
    become: str = ""

    @classmethod
    def of(cls, host: Host) -> Self:
        """Return what these variables of Ansible say; all others are left to the user's ssh_config.

        ``ansible_host``, ``ansible_port``, ``ansible_user``, ``ansible_ssh_private_key_file``,
        ``ansible_ssh_common_args`` and ``_extra_args``, ``ansible_become`` and ``ansible_become_user``.
        Passwords of Ansible are not used: a key logs in, and sudo asks for none. Raises HostUnreachable.
        """
        read = _Variables(host)
        if host.connection not in CONNECTIONS:
            raise read.refusal("ansible_connection", "ssh", host.connection)
        try:
            further = tuple(word for name in ARGUMENTS for word in shlex.split(read.text(name)))
        except ValueError as problem:
            raise read.refusal(" or ".join(ARGUMENTS), "options of ssh", str(problem)) from None
        become = read.value("ansible_become", kind=bool, otherwise=False)
        method = read.text("ansible_become_method") or "sudo"
        if become and method not in ("sudo", "ansible.builtin.sudo"):
            raise read.refusal("ansible_become_method", "sudo", method)
        key_file = os.path.expanduser(read.text("ansible_ssh_private_key_file", "ansible_private_key_file"))
        if key_file and not os.access(key_file, os.R_OK):
            raise read.refusal("ansible_ssh_private_key_file", "a private key that can be read here", key_file)
        return cls(
            host.ansible_host or host.name,
            read.value("ansible_port", "ansible_ssh_port", kind=int),
            read.text("ansible_user", "ansible_ssh_user"),
            key_file,
            further,
            (read.text("ansible_become_user") or "root") if become else "",
        )

    @property
    def options(self) -> tuple[str, ...]:
        """Port, user and key as options of ssh."""
        return (
            *(("-p", str(self.port)) if self.port is not None else ()),
            *(("-l", self.user) if self.user else ()),
            *(("-i", self.key_file) if self.key_file else ()),
        )

    def command(self, remote: str, seconds: float) -> list[str]:
        """Return the command line that runs a command of the remote shell, and never asks anything.

        What stands first counts, so nothing overrides these: no question, no wait for the connection
        beyond ``seconds`` or CONNECT_SECONDS, no connection left open. Host keys are checked as the
        user's ssh_config, or the inventory's own options, say.
        """
        until = max(1, min(CONNECT_SECONDS, math.ceil(seconds) - 1))  # before our own end: ssh says more
        ours = ("BatchMode=yes", f"ConnectTimeout={until}", "ControlMaster=no", "LogLevel=ERROR")
        options = (word for each in ours for word in ("-o", each))
        return ["ssh", "-T", *options, *self.options, *self.further, "--", self.destination, remote]

    @property
    def user_name(self) -> str:
        """The user's name for a message."""
        return self.user or "(of ssh_config)"

    @property
    def shown_port(self) -> str:
        """The port for a message."""
        return str(self.port or "22 (or that of ssh_config)")

    @property
    def known_as(self) -> str:
        """How known_hosts has it, as a word of the shell."""
        host = self.destination.rpartition("@")[2]
        return shlex.quote(host if self.port in (None, 22) else f"[{host}]:{self.port}")

    @property
    def by_hand(self) -> str:
        """The command with which a person tries the same; further options may hold secrets and stay out."""
        sudo = ("sudo", "-n", "-u", self.become, "true") if self.become else ()
        tried = shlex.join(("ssh", *self.options, self.destination, *sudo))
        return f"{tried} (and the inventory's ansible_ssh_*_args)" if self.further else tried


class _Variables:
    """A host's variables, each under any of its names."""

    def __init__(self, host: Host) -> None:
        self._host = host.name
        self._given: Mapping[str, Any] = host.variables

    def value(self, *names: str, kind: type, otherwise: object = None) -> Any:
        name = next((each for each in names if self._given.get(each) is not None), "")
        if not name:
            return otherwise
        try:
            return typed("", name, self._given[name], kind)
        except InventoryError as problem:
            raise self.refusal(name, f"a plain {kind.__name__}", problem.observed) from None

    def text(self, *names: str) -> str:
        return str(self.value(*names, kind=str, otherwise=""))

    def refusal(self, name: str, expected: str, observed: str) -> HostUnreachable:
        return HostUnreachable(
            f"{self._host} cannot be entered",
            expected=f"{name}: {expected}",
            observed=f"{name} of {self._host}: {observed}",
            advice="correct the inventory, or look without the hosts: --no-host-access",
        )
