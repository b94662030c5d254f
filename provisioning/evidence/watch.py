"""A watch: every node's CLUSTER NODES, again and again, on one monotonic clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.errors import NodeUnreachable
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from provisioning.waiting import ticks

INTERVAL_SECONDS = 0.025
"""Pace of the samples: half of the 50 ms that phases are resolved to."""

DEADLINE_SECONDS = 0.5


@dataclass(frozen=True)
class Sighting:
    """What one node showed at one moment (monotonic seconds); ``view`` is None where it did not answer."""

    at: float
    node: str
    view: ClusterView | None


class Watch:
    """Samples every node in a thread of its own while its block lasts; keeps what changed.

    A sighting stands for all samples until the next one of the same node.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.sightings: list[Sighting] = []
        self.clock_offset: dict[str, float] = {}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._sample, args=(node,), name=f"watch {node.full_name}", daemon=True)
            for node in inventory.nodes
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def of(self, node: str) -> Iterator[Sighting]:
        """Yield the sightings of one node in order."""
        return (each for each in list(self.sightings) if each.node == node)

    def _sample(self, node: Node) -> None:
        last: object = self
        with Connection.to(node, deadline=DEADLINE_SECONDS) as link:
            for _ in ticks(INTERVAL_SECONDS, self._stop):
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
    """Return the node's wall clock minus our monotonic clock, in seconds, to half a round trip."""
    asked = time.monotonic()
    seconds, microseconds = link.call("TIME")
    return int(seconds) + int(microseconds) / 1e6 - (asked + time.monotonic()) / 2


def _lasting(view: ClusterView | None) -> object:
    """Return what of a view does not change with every ping."""
    if view is None:
        return None
    return [
        (entry.node_id, entry.flags, entry.master_id, entry.config_epoch, entry.slots, entry.link_state)
        for entry in view.entries
    ]
