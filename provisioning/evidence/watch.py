"""A watch: every node's CLUSTER NODES, again and again, on one monotonic clock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.errors import NodeUnreachable
from provisioning.evidence.sampling import Sampling
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused

INTERVAL_SECONDS = 0.025
"""Pace of the samples: half of the 50 ms that phases are resolved to."""

DEADLINE_SECONDS = 0.5

CLOCK_SAMPLES = 5
"""Times that a node is asked for its clock; the shortest round trip counts."""


@dataclass(frozen=True)
class Sighting:
    """What one node showed at one moment (monotonic seconds); ``view`` is None where it did not answer."""

    at: float
    node: str
    view: ClusterView | None


class Watch(Sampling):
    """Samples every node in a thread of its own while its block lasts; keeps what changed.

    A sighting stands for all samples until the next one of the same node.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.sightings: list[Sighting] = []
        self.clock_offset: dict[str, float] = {}
        self._gaps: list[tuple[str, float, float]] = []
        super().__init__({f"watch {node.full_name}": partial(self._sample, node) for node in inventory.nodes})

    def longest_gap(self, nodes: Iterable[str], since: float) -> float:
        """Return the longest time in seconds between two samples of one of these nodes after that moment.

        What happened in between is known to that precision only.
        """
        among = set(nodes)
        return max(
            (gap for node, at, gap in list(self._gaps) if node in among and at > since), default=INTERVAL_SECONDS
        )

    def _sample(self, node: Node) -> None:
        last: object = self
        previous = time.monotonic()
        with Connection.to(node, deadline=DEADLINE_SECONDS) as link:
            for began in self.ticks(INTERVAL_SECONDS):
                if began - previous > INTERVAL_SECONDS:
                    self._gaps.append((node.full_name, began, began - previous))
                previous = began
                view: ClusterView | None = None
                try:
                    if node.full_name not in self.clock_offset:
                        self.clock_offset[node.full_name] = _clock_offset(link)
                    text = link.call("CLUSTER", "NODES")
                    view = parse_cluster_nodes(text, seen_by=node.full_name)
                except (NodeUnreachable, Refused):
                    pass
                shown = _lasting(view)
                if shown != last:
                    last = shown
                    self.sightings.append(Sighting(time.monotonic(), node.full_name, view))


def _clock_offset(link: Connection) -> float:
    """Return the node's wall clock minus our monotonic clock in seconds: the one asked for with least delay."""
    samples = []
    for _ in range(CLOCK_SAMPLES):
        asked = time.monotonic()
        seconds, microseconds = link.call("TIME")
        answered = time.monotonic()
        samples.append((answered - asked, int(seconds) + int(microseconds) / 1e6 - (asked + answered) / 2))
    return min(samples)[1]


def _lasting(view: ClusterView | None) -> object:
    """Return what of a view does not change with every ping."""
    if view is None:
        return None
    return [
        (entry.node_id, entry.flags, entry.master_id, entry.config_epoch, entry.slots, entry.link_state)
        for entry in view.entries
    ]
