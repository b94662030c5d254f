"""SeenHost: a host of the inventory beside what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.evidence import HostEvidence, NodeEvidence
from provisioning.inventory import Host, Node

APPENDONLYDIR_SINCE = 7
"""First server version that keeps its append-only files in a directory of their own."""


@dataclass(frozen=True)
class Server:
    """A redis-server process on a host: the port in its title, and the user and group that it runs as."""

    port: int
    uid: int
    gid: int


@dataclass(frozen=True)
class SeenHost:
    """A host of the inventory beside what was seen of it, and of its nodes."""

    wanted: Host
    seen: HostEvidence
    nodes: tuple[tuple[Node, NodeEvidence], ...]

    @property
    def servers(self) -> tuple[Server, ...]:
        """Its server processes; a child that one forked to save its data is none."""
        rows = [line.split() for line in self.seen.processes or ()]
        servers = {row[0]: row for row in rows if row[4].endswith("-server")}
        return tuple(
            Server(int(row[5].rpartition(":")[2]), int(row[2]), int(row[3]))
            for row in servers.values()
            if row[1] not in servers
        )

    @property
    def files(self) -> dict[str, str]:
        """Path -> ``uid:gid mode``."""
        return dict(self.seen.facts["files"])

    def configuration(self, node: Node) -> dict[str, str]:
        """The directives in the node's configuration file, without passwords."""
        return dict((self.seen.directives or {})[node.full_name])

    def server(self, node: Node) -> Server:
        """The process of that node."""
        found = [server for server in self.servers if server.port == node.port]
        assert len(found) == 1, f"{node.full_name} has {len(found)} processes: {self.seen.processes}"
        return found[0]
