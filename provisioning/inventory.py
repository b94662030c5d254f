"""The inventory: hosts, the nodes on each, their addresses, and who replicates whom."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

from provisioning.errors import InventoryError
from provisioning.slots import SlotRange

Role = Literal["master", "replica"]

BUS_PORT_OFFSET = 10000
"""Client port to bus port where nothing else is said (Redis Cluster specification, "The cluster bus")."""

CONFIG_DIR = "/opt/redis"
"""Where a host keeps the configuration files of its nodes (the seed's directory)."""

EVERYWHERE = "0.0.0.0"
"""Where a node behind published ports is bound: on all addresses of its container, none of which is its host's."""

DATA_DIR = "/srv/redis"
"""Where a simulated host shows the data volumes of its nodes, one directory each."""


@lru_cache(maxsize=4096)
def plain_address(text: str) -> str:
    """Return an address as it is compared: an IP in its shortest form (fd00::1), a name in lower case."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text.lower().rstrip(".")


@dataclass(frozen=True)
class Tls:
    """TLS files with which a client logs in; empty strings where there is none (no ``ca_file``: the system's CAs)."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True)
class Node:
    """One redis-server that we manage, with its four addresses and how to log in.

    ``bound``: where it listens. ``announced``: what it tells others. ``lan``: what the other hosts
    dial. ``outside``: what this process dials, host and port. ``previous_password``: what it may still have
    while the playbook changes its password.
    """

    host: str
    name: str
    role: Role
    port: int
    bus_port: int
    bound: tuple[str, ...] = ()
    announced: str = ""
    lan: str = ""
    outside: tuple[str, int] = ("", 0)
    replica_of: str = ""
    slots: tuple[SlotRange, ...] = ()
    container: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Tls | None = None
    previous_password: str = field(default="", repr=False)

    @property
    def full_name(self) -> str:
        """``redis-host-1/redis_master``: the name in every message; of a node without a host just its name."""
        return f"{self.host}/{self.name}" if self.host else self.name

    @property
    def address(self) -> str:
        """``ip:port`` as announced to clients and other nodes."""
        return f"{self.announced}:{self.port}"

    @property
    def config_file(self) -> str:
        """Path of its configuration on the host."""
        return f"{CONFIG_DIR}/redis-node-{self.file_stem}.conf"

    @property
    def data_dir(self) -> str:
        """Directory on the host where its data volume is seen."""
        return f"{DATA_DIR}/{self.name}"

    @property
    def file_stem(self) -> str:
        """``master`` / ``replica`` for the seed's two names, else the node's own name."""
        return {"redis_master": "master", "redis_slave": "replica"}.get(self.name, self.name)


@dataclass(frozen=True)
class Host:
    """A failure domain: a machine (or what simulates it) with the nodes on it."""

    name: str
    address: str
    nodes: tuple[Node, ...]
    ansible_host: str = ""
    connection: str = "ssh"
    variables: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class WantedShard:
    """A master and the replicas that the inventory gives it."""

    master: Node
    replicas: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.master, *self.replicas)


GIVEN = frozenset({"cluster-node-timeout", "appendonly", "slots", "name"})
"""What an inventory may leave to us: what it leaves out is built so, and wanted of no cluster that exists."""


@dataclass(frozen=True)
class Inventory:
    """The wanted cluster. ``simulation`` is the name of the simulated cluster, empty for real hosts.

    ``application_user`` is the ACL user that applications log in with, ``image`` the image that the nodes'
    containers should run; empty where the inventory names none. ``given`` says which of GIVEN it decides.
    """

    name: str
    hosts: tuple[Host, ...]
    node_timeout_ms: int
    appendonly: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    simulation: str = ""
    source: str = ""
    application_user: str = ""
    image: str = ""
    given: frozenset[str] = GIVEN

    @property
    def simulated(self) -> bool:
        """True where the hosts are containers that this project built."""
        return bool(self.simulation)

    @property
    def node_timeout(self) -> float:
        """cluster-node-timeout in seconds: what every budget derives from."""
        return self.node_timeout_ms / 1000

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(node for host in self.hosts for node in host.nodes)

    @property
    def masters(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role == "master")

    @property
    def replicas(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role == "replica")

    @property
    def shards(self) -> tuple[WantedShard, ...]:
        return tuple(
            WantedShard(master, tuple(node for node in self.replicas if node.replica_of == master.full_name))
            for master in self.masters
        )

    def node(self, full_name: str) -> Node:
        """Return the node of that full name. Raises KeyError."""
        return {node.full_name: node for node in self.nodes}[full_name]

    def host(self, name: str) -> Host:
        """Return the host of that name. Raises KeyError."""
        return {host.name: host for host in self.hosts}[name]

    def at(self, ip: str, port: int) -> Node | None:
        """Return the node announced at that address, or None."""
        return next((node for node in self.nodes if (node.announced, node.port) == (ip, port)), None)

    def with_nodes(self, change: Mapping[str, Node]) -> Inventory:
        """Return the inventory with the nodes of these full names replaced."""
        return replace(
            self,
            hosts=tuple(
                replace(host, nodes=tuple(change.get(node.full_name, node) for node in host.nodes))
                for host in self.hosts
            ),
        )


SHORTEST_NODE_TIMEOUT_MS = 500
"""Below it a simulation tells of the machine's scheduling, not of Redis (and under 1000 failovers ping-pong)."""


def with_node_timeout(inventory: Inventory, milliseconds: int) -> Inventory:
    """Return the inventory with another node timeout, to be simulated. Raises InventoryError if it is too short."""
    if milliseconds < SHORTEST_NODE_TIMEOUT_MS:
        raise InventoryError(
            "--node-timeout is too short",
            expected=f"milliseconds, {SHORTEST_NODE_TIMEOUT_MS} or more",
            observed=str(milliseconds),
            advice="for example --node-timeout 5000",
        )
    given = inventory.given | {"cluster-node-timeout"}
    return replace(inventory, node_timeout_ms=milliseconds, given=given)
