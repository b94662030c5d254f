"""A running cluster, simulated or real: ask its nodes, wait for it, and drive a client at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import redis
import redis.asyncio

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.errors import NodeUnreachable, SimulationError
from provisioning.evidence import Evidence
from provisioning.evidence.collect import TOPOLOGY, ask_who_lags, collect
from provisioning.evidence.info import parse_info
from provisioning.inventory import Inventory, Node, Tls, WantedShard
from provisioning.readiness import find_unready
from provisioning.resp import DEADLINE_SECONDS, Connection, Refused
from provisioning.simulation import Simulation
from provisioning.slots import key_in_slot, show_ranges
from provisioning.topology import agree
from provisioning.waiting import wait_until

T = TypeVar("T")

RESTART_GUARD_SECONDS = 2.0
"""A restarted master refuses writes for 2000 ms (redis: CLUSTER_WRITABLE_DELAY)."""

REJOIN_SECONDS = 10.0
"""Start of the process, loading, bus links, handshake and the first full synchronisation, on a loaded machine."""

MANUAL_FAILOVER_SECONDS = 5 + REJOIN_SECONDS
"""Until everybody has seen a manual failover; the server gives it up after 5 s (CLUSTER_MF_TIMEOUT)."""


WAIT_POLL_SECONDS = 0.05
"""Pace of waits that ask all nodes; what is measured is sampled on its own."""


class Cluster:
    """Handle on the nodes of one inventory. ``simulation`` is None for real hosts.

    ``read_only``: nothing is sent but what resp.READING allows (default: on real hosts).
    """

    def __init__(
        self, inventory: Inventory, simulation: Simulation | None = None, *, read_only: bool | None = None
    ) -> None:
        self.read_only = simulation is None if read_only is None else read_only
        self.inventory = inventory
        self.simulation = simulation
        self._links = {node.full_name: (threading.Lock(), self.connection(node)) for node in inventory.nodes}

    def __repr__(self) -> str:
        return f"<Cluster {self.inventory.simulation or self.inventory.name}: {len(self.inventory.nodes)} nodes>"

    @property
    def simulated(self) -> Simulation:
        """The simulation that the cluster runs on. Raises SimulationError for real hosts."""
        if self.simulation is None:
            raise SimulationError(
                f"{self.inventory.name} runs on real hosts", advice="build a simulated cluster for this"
            )
        return self.simulation

    # -- asking ---------------------------------------------------------------------------------

    def call(self, node: Node, *words: str | bytes | int, deadline: float = DEADLINE_SECONDS) -> Any:
        """Send one command once to one node and return its raw answer.

        Raises Refused for an error answer, NodeUnreachable where none came within ``deadline`` seconds.
        """
        lock, link = self._links[node.full_name]
        with lock:
            return link.call(*words, deadline=deadline)

    def ask(self, node: Node, *words: str | bytes | int) -> str:
        """Return the raw answer as text, an error answer included, as redis-cli would print it."""
        try:
            return str(self.call(node, *words))
        except Refused as refusal:
            return str(refusal)

    def answers(self, node: Node) -> bool:
        """True for a node that says anything at all, a refusal too."""
        try:
            return bool(self.ask(node, "PING"))
        except NodeUnreachable:
            return False

    def connection(self, node: Node) -> Connection:
        """Return a connection of its own to the node, for MULTI, ASKING, READONLY and subscriptions."""
        return Connection.to(node, read_only=self.read_only)

    def view(self, node: Node) -> ClusterView:
        """Return the node's view of the cluster. Raises NodeUnreachable."""
        return parse_cluster_nodes(self.call(node, "CLUSTER", "NODES"), seen_by=node.full_name)

    def views(self, nodes: Iterable[Node] | None = None) -> dict[str, ClusterView | None]:
        """Return the view of each node by full name, None where it does not answer; asked in parallel."""

        def look(node: Node) -> ClusterView | None:
            try:
                return self.view(node)
            except (NodeUnreachable, Refused):
                return None

        asked = list(self.inventory.nodes if nodes is None else nodes)
        with ThreadPoolExecutor(max(1, len(asked))) as pool:
            return dict(zip((node.full_name for node in asked), pool.map(look, asked), strict=True))

    def look(self, nodes: Iterable[Node] | None = None) -> Evidence:
        """Return everything that the nodes say about themselves and each other at this moment."""
        return collect(self.inventory, nodes)

    def info(self, node: Node) -> Mapping[str, str]:
        """Return the node's INFO as a flat mapping."""
        return parse_info(str(self.call(node, "INFO")))

    def offset(self, replica: Node) -> int:
        """Return how much of its master's writes a replica has read, -1 where it does not say."""
        return int(self.info(replica).get("slave_repl_offset", -1))

    def cluster_info(self, node: Node) -> Mapping[str, str]:
        """Return the node's CLUSTER INFO as a flat mapping."""
        return parse_info(str(self.call(node, "CLUSTER", "INFO")))

    def state(self, node: Node) -> str:
        """Return the node's cluster_state: ok, fail, or unreachable."""
        try:
            return self.cluster_info(node)["cluster_state"]
        except (NodeUnreachable, Refused):
            return "unreachable"

    def ids(self) -> dict[str, str]:
        """Return the id of every node by full name, as each says itself."""
        return {node.full_name: str(self.call(node, "CLUSTER", "MYID")) for node in self.inventory.nodes}

    def owner(self, slot: int, *, seen_by: Node | None = None) -> Node:
        """Return the node that owns the slot in the view of ``seen_by`` (default: any that answers)."""
        for view in [self.view(seen_by)] if seen_by else self.views().values():
            entry = view.owner_of(slot) if view is not None else None
            node = self.inventory.at(entry.ip, entry.port) if entry is not None else None
            if node is not None:
                return node
        raise SimulationError(f"no node of the inventory owns slot {slot}", observed=self.shown())

    def key_in(self, slot: int) -> str:
        """Return a key of that slot which nobody writes."""
        return key_in_slot(slot, "redis-gauntlet:look:")

    def shard_of(self, node: Node) -> WantedShard:
        """Return the wanted shard that the node belongs to."""
        return next(
            shard for shard in self.inventory.shards if node.full_name in (each.full_name for each in shard.nodes)
        )

    @property
    def wanted_roles(self) -> dict[str, str]:
        """What ``roles`` returns while the cluster is in the inventory's layout."""
        return {
            node.full_name: f"replica of {node.replica_of}" if node.replica_of else f"master {show_ranges(node.slots)}"
            for node in self.inventory.nodes
        }

    @property
    def rejoin_budget(self) -> float:
        """Seconds until a node that was started again is a known, linked and caught-up member."""
        return REJOIN_SECONDS + 2 * self.inventory.node_timeout

    def masters(self) -> dict[Node, int]:
        """Return the nodes that own slots, each by its own view, and the first of these slots."""
        found = {}
        for node in self.inventory.nodes:
            own = self.view(node).leads
            if own is not None:
                found[node] = own.slots[0].first
        return found

    def current_epoch(self, node: Node) -> int:
        """Return the cluster's current epoch as the node knows it; every election adds one."""
        return int(self.cluster_info(node)["cluster_current_epoch"])

    def _current_epochs(self) -> Iterator[int]:
        """Yield the current epoch of every node that answers."""
        for node in self.inventory.nodes:
            with suppress(NodeUnreachable):
                yield self.current_epoch(node)

    def is_pristine(self) -> bool:
        """True in the wanted layout with no election since the cluster was formed (epochs 1 to the number of nodes)."""
        nodes = self.inventory.nodes
        return self.roles() == self.wanted_roles and {self.current_epoch(node) for node in nodes} == {len(nodes)}

    def roles(self) -> dict[str, str]:
        """Return for every node ``master 0-5460``, ``replica of <name>`` or ``dead``, each in its own words."""
        found = {}
        for name, view in self.views().items():
            own = view.myself if view is not None else None
            if view is None or own is None:
                found[name] = "dead"
            elif "master" in own.flags:
                found[name] = f"master {' '.join(map(str, own.slots))}".strip()
            else:
                master = view.entry(own.master_id)
                node = self.inventory.at(master.ip, master.port) if master is not None else None
                found[name] = f"replica of {node.full_name if node else own.master_id}"
        return found

    def shown(self) -> str:
        """Return what every node shows, one line each, and what the ended ones said: the text of a failed wait."""
        words = self.simulation.last_words() if self.simulation is not None else {}
        return "".join(
            f"\n    {name}: {role}, " + (f"ended: {words[name]}" if name in words else f"state {self.state(node)}")
            for node, (name, role) in zip(self.inventory.nodes, self.roles().items(), strict=True)
        )

    # -- waiting --------------------------------------------------------------------------------

    def wait_for(self, look: Callable[[], T | None], expected: str, seconds: float) -> T:
        """Wait until ``look`` returns something true; the error shows what every node shows. See wait_until."""
        return wait_until(look, expected, seconds, shown=self.shown, poll=WAIT_POLL_SECONDS)

    def wait_ready(
        self,
        seconds: float | None = None,
        questions: Mapping[str, tuple[str, ...]] = TOPOLOGY,
        unlinked: Collection[str] = (),
    ) -> Evidence:
        """Wait until the cluster is ready and return the evidence of it.

        With MEMBERSHIP for ``questions`` what its nodes tell clients of slots does not count. Of ``unlinked``, full
        names, nobody needs a link to its master.
        Ready: every node's view agrees, NODES = SLOTS = SHARDS, the replication links are up and the replicas
        have what their masters had at that moment. CLUSTER SLOTS leaves out replicas whose offset is 0, so on an
        idle fresh cluster one key per shard is written and removed unless the handle is read-only.
        Raises WaitTimeout.
        """
        budget = seconds if seconds is not None else RESTART_GUARD_SECONDS + self.rejoin_budget
        nudged: set[str] = set()
        reasons: list[str] = []

        def ready() -> Evidence | None:
            evidence = ask_who_lags(self.inventory, collect(self.inventory, questions=questions, redirects=False))
            reasons[:] = find_unready(evidence, unlinked)
            if not self.read_only and any("offset 0" in reason for reason in reasons):
                self._nudge(nudged)
            return None if reasons else evidence

        return wait_until(ready, "a cluster that is ready", budget, shown=lambda: "; ".join(reasons[:6]) + self.shown())

    def wait_agreement(self, nodes: Iterable[Node], seconds: float) -> None:
        """Wait until these nodes' views agree on nodes, roles, masters and slot owners."""
        asked = list(nodes)

        def agreed() -> bool:
            views = [view for view in self.views(asked).values() if view is not None]
            return len(views) == len(asked) and agree(views)

        self.wait_for(agreed, f"{len(asked)} views that agree", seconds)

    def wait_quiet(self) -> None:
        """Wait until nobody has been elected for 4 node timeouts.

        The replica of a shard that loses its master sooner after its last election may take that for the next
        one (redis issues 8752, 8753; valkey issue 782). Only nodes that answer count. Raises WaitTimeout.
        """
        quiet = 4 * self.inventory.node_timeout
        epoch, since = -1, time.monotonic()

        def is_quiet() -> bool:
            nonlocal epoch, since
            now = max(self._current_epochs(), default=epoch)
            if now != epoch:
                epoch, since = now, time.monotonic()
            return time.monotonic() - since >= quiet

        self.wait_for(is_quiet, f"{quiet:.0f} s without an election", 3 * quiet)

    def is_owner(self, slot: int, owner: Node, nodes: Iterable[Node]) -> bool:
        """True where all these nodes see ``owner`` as the live master that owns the slot."""
        for view in self.views(nodes).values():
            entry = view.owner_of(slot) if view is not None else None
            if entry is None or entry.address != owner.address or {"fail", "pfail"} & entry.flags:
                return False
        return True

    def wait_owner(self, slot: int, owner: Node, nodes: Iterable[Node], seconds: float) -> None:
        """Wait until all these nodes see ``owner`` as the live master that owns the slot."""
        asked = list(nodes)
        expected = f"{owner.full_name} owns slot {slot} in the view of {len(asked)} nodes"
        self.wait_for(lambda: self.is_owner(slot, owner, asked), expected, seconds)

    def wait_replica(self, replica: Node, master: Node, seconds: float) -> None:
        """Wait until every node sees ``replica`` as a live replica of ``master``, linked and caught up."""

        def following() -> bool:
            for view in self.views().values():
                entry = view.by_address.get(replica.address) if view is not None else None
                leader = view.by_address.get(master.address) if view is not None else None
                if entry is None or leader is None or entry.master_id != leader.node_id or "replica" not in entry.flags:
                    return False
                if {"fail", "pfail", "handshake"} & entry.flags or not entry.link_connected:
                    return False
            return self.caught_up(replica, master)

        self.wait_for(following, f"{replica.full_name} is a live replica of {master.full_name} everywhere", seconds)

    def caught_up(self, replica: Node, master: Node) -> bool:
        """True where the link is up and the replica has read all that its master had written just before."""
        try:
            written = int(self.info(master)["master_repl_offset"])
            info = self.info(replica)
        except (NodeUnreachable, Refused, KeyError):
            return False
        return info.get("master_link_status") == "up" and int(info.get("slave_repl_offset", -1)) >= written

    # -- acting ---------------------------------------------------------------------------------

    def manual_failover(self, replica: Node, slot: int | None = None) -> None:
        """Let the replica take over from its live master, losing nothing, and wait until all nodes agree.

        ``slot`` is one of those that it gets (default: the first that the inventory gives to its shard). A
        manual failover is given up by the server after 5 s; it is asked for once. Right after a rejoin
        voters refuse: call wait_replica first. Raises WaitTimeout.
        """
        slot = self.shard_of(replica).master.slots[0].first if slot is None else slot
        answer = self.call(replica, "CLUSTER", "FAILOVER")
        if answer != "OK":
            raise SimulationError(f"{replica.full_name} refused CLUSTER FAILOVER", observed=str(answer))
        self.wait_owner(slot, replica, self.inventory.nodes, MANUAL_FAILOVER_SECONDS)

    def restore_layout(self, masters: Collection[Node] = ()) -> list[str]:
        """Bring every master back to where the inventory has it; return the commands that did it.

        ``masters`` are nodes that shall be master of their shard whatever the inventory says. All nodes must
        be alive. Slots need not be where the inventory has them. Raises WaitTimeout.
        """
        done = []
        patience = REJOIN_SECONDS + 4 * self.inventory.node_timeout
        for shard in self.inventory.shards:
            master = next((node for node in shard.nodes if node in masters), shard.master)
            current = self._leader(shard)
            if current is not None and current[0] != master:
                leader, slot = current
                self.wait_replica(master, leader, patience)
                self.manual_failover(master, slot)
                done.append(f"CLUSTER FAILOVER on {master.full_name}")
            for replica in shard.nodes:
                if replica != master:
                    self.wait_replica(replica, master, patience)
        return done

    def _leader(self, shard: WantedShard) -> tuple[Node, int] | None:
        """Return the node of the shard that owns slots, and one of these; None without one.

        Of two that say so of themselves it is the one with the newer config epoch: the other has just come back.
        """
        claims = []
        for node in shard.nodes:
            own = self.view(node).leads
            if own is not None:
                claims.append((own.config_epoch, node, own.slots[0].first))
        return max(claims, key=lambda claim: claim[0])[1:] if claims else None

    def client(self, **options: Any) -> redis.RedisCluster:
        """Return a redis-py cluster client whose addresses are mapped to those that this process reaches."""
        return redis.RedisCluster(**self._client_options(redis.cluster.ClusterNode), **options)

    def async_client(self, **options: Any) -> redis.asyncio.RedisCluster:
        """Return the asyncio twin of ``client``."""
        return redis.asyncio.RedisCluster(**self._client_options(redis.asyncio.cluster.ClusterNode), **options)

    def _client_options(self, startup: Any) -> dict[str, Any]:
        first = self.inventory.nodes[0]
        outside = {(node.announced, node.port): node.outside for node in self.inventory.nodes}
        return {
            "startup_nodes": [startup(*node.outside) for node in self.inventory.nodes],
            "username": first.user or None,
            "password": first.password or None,
            **_tls_options(first.tls),
            "address_remap": lambda address: outside.get(address, address),
            "decode_responses": True,
        }

    def _nudge(self, nudged: set[str]) -> None:
        """Give every replica an offset above 0, and let all others hear of it at once.

        One key per shard is written and removed. Nodes learn each other's offsets from the header of any
        bus message; a PUBLISH on the replica is one that goes to all, while pings take up to half a node
        timeout. (A server whose PUBLISH has a lighter header is heard of by its pings.)
        """
        for shard in self.inventory.shards:
            key = key_in_slot(shard.master.slots[0].first, "redis-gauntlet:nudge:")
            with suppress(Refused, NodeUnreachable):
                if shard.master.full_name not in nudged:
                    self.call(shard.master, "SET", key, "1", "PX", "60000")
                    self.call(shard.master, "DEL", key)
                    nudged.add(shard.master.full_name)
                for replica in shard.replicas:
                    self.call(replica, "PUBLISH", "redis-gauntlet:nudge", "")


def _tls_options(tls: Tls | None) -> dict[str, Any]:
    """Return how redis-py is told of TLS; what is verified is what provisioning.tls says."""
    if tls is None:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": tls.ca_file or None,
        "ssl_certfile": tls.cert_file or None,
        "ssl_keyfile": tls.key_file or None,
        "ssl_check_hostname": not tls.ca_file,
    }
