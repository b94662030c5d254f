"""A node's container on a real host, asked by the host's own docker command over SSH."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from provisioning.errors import FaultError
from provisioning.hosts.remote import RemoteHost
from provisioning.inventory import Node
from provisioning.resp import Connection, Refused

COMMAND_SECONDS = 15.0
"""How long one docker command may take, the way to the host included; well under a second on an idle one."""

HOLDS = """\
pid=$(docker inspect --type container --format '{{{{.State.Pid}}}}' {name}) || exit 1
for each in $pid $(cat /proc/$pid/task/*/children 2>/dev/null); do
    for inode in $(cat /proc/$each/net/tcp /proc/$each/net/tcp6 2>/dev/null |
        awk -v ours=':{local:04X}$' -v theirs=':{remote:04X}$' '$2 ~ ours && $3 ~ theirs {{ print $10 }}'); do
        ls -l /proc/$each/fd 2>/dev/null | grep -q "socket:\\[$inode\\]" && exec echo held
    done
done"""
"""Says whether a process of the container holds the connection with these ports, as the server sees them."""


class RemoteContainer:
    """One container by name."""

    def __init__(self, host: RemoteHost, name: str) -> None:
        self.name = name
        self._host = host

    def __repr__(self) -> str:
        return f"<RemoteContainer {self.name} on {self._host.host.name}>"

    @property
    def state(self) -> Mapping[str, Any]:
        """The engine's State: Running, ExitCode, FinishedAt, ... Raises FaultError where there is no such container."""
        state: Mapping[str, Any] = json.loads(self._docker("inspect", "--type", "container", "--format", STATE))
        return state

    def log(self, since: float = 0) -> str:
        """Return its standard output and error, each line led by the engine's UTC time; ``since`` in Unix seconds."""
        return self._docker("logs", "--timestamps", *(("--since", str(int(since))) if since else ()))

    def make_sure_of(self, node: Node) -> None:
        """Make sure that it is this container that answers at the node's address: names alone may deceive.

        A connection is opened to the node, and one of the container's processes must hold its other end.
        Raises FaultError, NodeUnreachable, HostUnreachable.
        """
        with Connection.to(node, read_only=True) as link:
            try:
                said = dict(word.partition("=")[::2] for word in str(link.call("CLIENT", "INFO")).split())
                ports = {
                    side: int(said[key].rpartition(":")[2]) for side, key in (("local", "laddr"), ("remote", "addr"))
                }
            except (Refused, KeyError, ValueError) as problem:
                raise self._doubt(node, f"CLIENT INFO does not tell its connection: {problem}") from None
            ended = self._host.run(HOLDS.format(name=shlex.quote(self.name), **ports), COMMAND_SECONDS)
        if ended.code or ended.output.strip() != "held":
            why = ended.output.strip()[-300:] or "none of its processes holds our connection to the node"
            raise self._doubt(node, why)

    def _doubt(self, node: Node, observed: str) -> FaultError:
        host = self._host.host.name
        return FaultError(
            f"nothing on {host} may be taken down: container {self.name} is not shown to be {node.full_name}",
            expected=f"a process in {self.name} answers at {node.outside[0]}:{node.outside[1]}, as root there can see",
            observed=observed,
            advice="name the node's container in the inventory (redis_nodes: container), and set ansible_become",
        )

    def _docker(self, *words: str) -> str:
        ended = self._host.run(shlex.join(("docker", *words, self.name)), COMMAND_SECONDS)
        if ended.code:
            raise FaultError(
                f"docker {words[0]} {self.name} failed on {self._host.host.name}",
                expected="a node in a container of that name, and the right to ask its host's engine",
                observed=ended.output.strip()[-300:] or f"exit code {ended.code}",
                advice="faults are for nodes in containers; ansible_become gives the right",
            )
        return ended.output


STATE = "{{json .State}}"
