"""Evidence: everything that was seen of a cluster at one moment. Written to a file it is a capture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from provisioning.cluster_view import ClusterView
from provisioning.errors import GauntletError
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.inventory_json import inventory_from_dict, inventory_to_dict
from provisioning.evidence.node import NodeEvidence
from provisioning.inventory import Inventory, Node, plain_address
from provisioning.node_entry import NodeEntry

SCHEMA = 1
"""Version of the capture's format; raised when an older reader would misread a newer file."""


class CaptureError(GauntletError):
    """A capture cannot be read."""


@dataclass(frozen=True)
class Evidence:
    """What was seen by node and by host, and what was wanted. Immutable.

    ``taken_at`` is ISO 8601 UTC, ``duration`` how long the look took in seconds. ``reachable_ports`` is
    what the looking process itself could reach (``ip:port`` to yes or no), None unless it was declared a
    vantage point. ``earlier`` is what was seen of the same cluster at some earlier time, for what only
    a comparison shows; it is not written to a capture. ``fleeting`` are findings, rule and subject, that
    this look shows and one just before did not, of what may pass by itself.
    """

    nodes: tuple[NodeEvidence, ...]
    hosts: tuple[HostEvidence, ...] = ()
    wanted: Inventory | None = None
    taken_at: str = ""
    duration: float = 0.0
    reachable_ports: Mapping[str, bool] | None = field(default=None)
    earlier: Evidence | None = field(default=None, repr=False)
    fleeting: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of_listings(cls, listings: Iterable[tuple[str, str]], taken_at: str = "") -> Self:
        """Return the evidence that pasted CLUSTER NODES texts are: pairs of who saw it (may be empty) and the text."""
        nodes = [
            NodeEvidence(seen_by or f"listing {number}", cluster_nodes=text)
            for number, (seen_by, text) in enumerate(listings, 1)
        ]
        return cls(tuple(nodes), taken_at=taken_at)

    @cached_property
    def views(self) -> tuple[ClusterView, ...]:
        """Every CLUSTER NODES that was seen, parsed."""
        return tuple(node.view for node in self.nodes if node.view is not None)

    def node(self, name: str) -> NodeEvidence | None:
        """Return what was seen of the node of that name, or None."""
        return next((node for node in self.nodes if node.name == name), None)

    def of_entry(self, node_id: str) -> NodeEvidence | None:
        """Return what was seen of the node with that id, or None."""
        return self._by_id.get(node_id)

    @cached_property
    def _by_id(self) -> Mapping[str, NodeEvidence]:
        return {
            node.view.myself.node_id: node
            for node in self.nodes
            if node.view is not None and node.view.myself is not None
        }

    @cached_property
    def wanted_by_id(self) -> Mapping[str, Node]:
        """The inventory's node behind each node id: by the id that it calls its own, else by IP or hostname."""
        if self.wanted is None:
            return {}
        nodes = {node.full_name: node for node in self.wanted.nodes}
        places = {(plain_address(node.announced), node.port): node for node in self.wanted.nodes if node.announced}
        found = {node_id: nodes[seen.name] for node_id, seen in self._by_id.items() if seen.name in nodes}
        taken = {node.full_name for node in found.values()}
        by_trust = sorted(self._entries, key=lambda entry: (entry.is_lost, not entry.link_connected))
        for entry in by_trust:
            addresses = (plain_address(each) for each in (entry.ip, entry.hostname) if each)
            node = next((node for each in addresses if (node := places.get((each, entry.port)))), None)
            if node is not None and entry.node_id not in found and node.full_name not in taken:
                found[entry.node_id] = node
                taken.add(node.full_name)
        return found

    @cached_property
    def _entries(self) -> tuple[NodeEntry, ...]:
        return tuple(entry for view in self.views for entry in view.entries)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Node id -> the name for messages: the inventory's full name, else an address, else the short id."""
        found = {entry.node_id: entry.node_id[:8] for entry in self._entries}
        found.update({entry.node_id: entry.address for entry in reversed(self._entries) if entry.ip})
        found.update({node_id: node.full_name for node_id, node in self.wanted_by_id.items()})
        return found

    def name(self, entry: NodeEntry) -> str:
        """Return the entry's name for messages and as a finding's subject."""
        return self.names.get(entry.node_id, entry.address)

    def host_of(self, entry: NodeEntry) -> str:
        """Return the entry's host: the inventory's, else its IP as the identity; empty where neither is known."""
        node = self.wanted_by_id.get(entry.node_id)
        if node is not None:
            return node.host
        return self._hosts_by_ip.get(entry.ip, entry.ip)

    @cached_property
    def _hosts_by_ip(self) -> Mapping[str, str]:
        if self.wanted is None:
            return {}
        return {
            address: node.host
            for node in self.wanted.nodes
            for address in (node.announced, node.lan, *node.bound)
            if address
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values. Passwords of the inventory are not in it."""
        return {
            "schema": SCHEMA,
            "taken_at": self.taken_at,
            "duration": self.duration,
            "nodes": [node.to_dict() for node in self.nodes],
            "hosts": [host.to_dict() for host in self.hosts],
            "wanted": None if self.wanted is None else inventory_to_dict(self.wanted),
            "reachable_ports": None if self.reachable_ports is None else dict(self.reachable_ports),
            "fleeting": sorted(map(list, self.fleeting)),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``to_dict`` was called on, without passwords. Raises CaptureError for anything else."""
        if not isinstance(values, Mapping) or values.get("schema") != SCHEMA:
            seen = values.get("schema", "no schema") if isinstance(values, Mapping) else type(values).__name__
            raise CaptureError(
                "not a capture that this version can read",
                expected=f"a JSON object with schema {SCHEMA}",
                observed=str(seen),
                advice="write it again with `python -m provisioning capture`",
            )
        try:
            return cls(
                tuple(NodeEvidence.from_dict(node) for node in values["nodes"]),
                tuple(HostEvidence.from_dict(host) for host in values.get("hosts", ())),
                None if values.get("wanted") is None else inventory_from_dict(values["wanted"]),
                values.get("taken_at", ""),
                float(values.get("duration", 0.0)),
                values.get("reachable_ports"),
                fleeting=frozenset((str(rule), str(subject)) for rule, subject in values.get("fleeting", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise CaptureError("the capture is damaged", observed=repr(problem)) from problem
