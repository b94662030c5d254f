"""A node's container on a real host, asked and told by the host's own docker command over SSH."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from provisioning.errors import FaultError
from provisioning.hosts.remote import RemoteHost

COMMAND_SECONDS = 15.0
"""How long one docker command may take, the way to the host included; well under a second on an idle one."""


class RemoteContainer:
    """One container by name. ``may``: called before it is harmed; raises FaultError where that is refused."""

    def __init__(self, host: RemoteHost, name: str, may: Callable[[], None]) -> None:
        self.name = name
        self._host = host
        self._may = may

    def __repr__(self) -> str:
        return f"<RemoteContainer {self.name} on {self._host.host.name}>"

    @property
    def state(self) -> Mapping[str, Any]:
        """The engine's State: Running, ExitCode, FinishedAt, ... Raises FaultError where there is no such container."""
        state: Mapping[str, Any] = json.loads(self._docker("inspect", "--type", "container", "--format", STATE))
        return state

    def start(self) -> None:
        """Start it, or let it run on. Raises FaultError."""
        self._docker("start")

    def signal(self, name: str) -> None:
        """Send a signal (KILL, TERM, STOP, CONT) to its main process, if it may be harmed by it. Raises FaultError.

        Docker takes a container that was killed by its command as stopped by hand: no restart policy
        starts it again before somebody does.
        """
        if name != "CONT":
            self._may()
        self._docker("kill", "--signal", f"SIG{name}")

    def log(self, since: float = 0) -> str:
        """Return its standard output and error, each line led by the engine's UTC time; ``since`` in Unix seconds."""
        return self._docker("logs", "--timestamps", *(("--since", str(int(since))) if since else ()))

    def _docker(self, *words: str) -> str:
        ended = self._host.run(shlex.join(("docker", *words, self.name)), COMMAND_SECONDS)
        if ended.code:
            raise FaultError(
                f"docker {words[0]} {self.name} failed on {self._host.host.name}",
                expected="a node in a container of that name, and the right to ask its host's engine",
                observed=ended.output.strip()[-300:] or f"exit code {ended.code}",
                advice="faults are for nodes in containers; ansible_become, or the docker group, gives the right",
            )
        return ended.output


STATE = "{{json .State}}"
