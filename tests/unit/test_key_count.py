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

DEADLINE = 5.0


class Node:
    """Answers as a node with these keys would, and says at the end how the cluster is then."""

    def __init__(self, keys: dict[int, int], later: Entries) -> None:
        self.keys = keys
        self.later = later
        self.asked = 0

    def calls(self, commands: Sequence[Sequence[Any]], deadline: float) -> list[Any]:
        return [self.call(*words, deadline=deadline) for words in commands]

    def call(self, *words: Any, deadline: float) -> Any:
        assert 0 < deadline <= DEADLINE
        match words:
            case ("INFO", "keyspace"):
                return f"# Keyspace\r\ndb0:keys={sum(self.keys.values())},expires=0\r\n"
            case ("CLUSTER", "NODES"):
                return format_cluster_nodes(self.later.values())
            case ("CLUSTER", "COUNTKEYSINSLOT", slot):
                self.asked += 1
                return self.keys.get(slot, 0)
        raise AssertionError(words)


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
    return with_key_counts(cast(Connection, node), seen, DEADLINE), node.asked


def test_masters_own_and_strange_slots_are_counted() -> None:
    """A master that holds more than its own slots do is asked for all; of others' slots the keys are counted."""
    seen, asked = counted(M1, {0: 5, 5460: 1, 5461: 2, 16383: 3})
    assert (seen.occupied_slots, dict(seen.stray_keys or {})) == (2, {5461: 2, 16383: 3})
    assert asked == SLOTS


@pytest.mark.parametrize(("name", "occupied"), [(M1, 2), (R3, None)])
def test_where_all_keys_are_in_own_slots_the_others_are_not_asked_for(name: str, occupied: int | None) -> None:
    """A master's own slots, and those of a replica's master, hold all keys: nothing else needs to be counted."""
    seen, asked = counted(name, {0: 5, 5460: 1})
    assert (seen.occupied_slots, seen.stray_keys, asked) == (occupied, {}, 5461)


def test_replica_has_its_masters_slots() -> None:
    """A replica's strange keys are those that are not its master's; it has no slots of its own."""
    seen, asked = counted(R3, {0: 5, 5461: 2})
    assert (seen.occupied_slots, dict(seen.stray_keys or {})) == (None, {5461: 2})
    assert asked == SLOTS


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
    assert with_key_counts(cast(Connection, Node({0: 1}, entries())), blind, DEADLINE).stray_keys is None
