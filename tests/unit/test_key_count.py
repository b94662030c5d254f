"""Keys are counted slot by slot: what is strange before and after the counting, and how many own slots hold any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence.key_count import with_key_counts
from provisioning.evidence.node import NodeEvidence
from provisioning.resp import Connection
from provisioning.slots import SLOTS, SlotRange
from tests.unit.listing import M1, M2, R3, Entries, change, entries, node_id

pytestmark = pytest.mark.unit


class Node:
    """Answers as a node with these keys would, and says at the end how the cluster is then."""

    def __init__(self, keys: dict[int, int], later: Entries) -> None:
        self.keys = keys
        self.later = later
        self.asked = 0

    def calls(self, commands: Sequence[Sequence[Any]], deadline: float) -> list[Any]:
        answers: list[Any] = []
        for words in commands:
            self.asked += 1
            is_count = words[1] == "COUNTKEYSINSLOT"
            answers.append(self.keys.get(words[2], 0) if is_count else format_cluster_nodes(self.later.values()))
        return answers


def counted(
    name: str, keys: dict[int, int], *, now: Callable[[Entries], object] = len, later: Callable[[Entries], object] = len
) -> tuple[NodeEvidence, int]:
    """Return what is seen of that node, and how many questions it took; the edits apply to its view."""
    first, second = entries(name), entries(name)
    now(first)
    later(second)
    info = {"db0": f"keys={sum(keys.values())},expires=0"} if keys else {}
    node = Node(keys, second)
    seen = NodeEvidence(name, cluster_nodes=format_cluster_nodes(first.values()), info=info)
    return with_key_counts(cast(Connection, node), seen, 1.0), node.asked


def test_masters_own_and_strange_slots_are_counted() -> None:
    """A master is asked for all slots; of its own those with keys are counted, of others' the keys."""
    seen, asked = counted(M1, {0: 5, 5460: 1, 5461: 2, 16383: 3})
    assert (seen.occupied_slots, dict(seen.stray_keys or {})) == (2, {5461: 2, 16383: 3})
    assert asked == SLOTS + 1


def test_replica_has_its_masters_slots() -> None:
    """A replica is asked for what is not its master's, and has no slots of its own."""
    seen, asked = counted(R3, {0: 5, 5461: 2})
    assert (seen.occupied_slots, dict(seen.stray_keys or {})) == (None, {5461: 2})
    assert asked == SLOTS - 5461 + 1


@pytest.mark.parametrize(
    ("now", "later"),
    [
        (len, lambda lines: change(lines, M1, slots=(SlotRange(0, 5461),))),
        (lambda lines: change(lines, M1, slots=(SlotRange(0, 5461),)), len),
        (lambda lines: change(lines, M1, importing=((5461, node_id(M2)),)), len),
        (len, lambda lines: change(lines, M1, importing=((5461, node_id(M2)),))),
    ],
)
def test_slot_that_is_just_moving_is_not_strange(
    now: Callable[[Entries], object], later: Callable[[Entries], object]
) -> None:
    """A slot that is the node's, or is being imported, before the counting or after it is no other's."""
    seen, _ = counted(M1, {5461: 2}, now=now, later=later)
    assert seen.stray_keys == {}


def test_node_without_keys_is_not_asked() -> None:
    """Nothing can be strange on an empty node; one without a view is not judged."""
    seen, asked = counted(M1, {})
    assert (seen.stray_keys, seen.occupied_slots, asked) == ({}, 0, 0)
    blind = NodeEvidence(M1, info={"db0": "keys=1,expires=0"})
    assert with_key_counts(cast(Connection, Node({0: 1}, entries())), blind, 1.0).stray_keys is None
