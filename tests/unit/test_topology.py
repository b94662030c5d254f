"""A view says who owns what; several views are compared and their differences shown."""

from __future__ import annotations

import pytest

from provisioning.cluster_view import ClusterView
from provisioning.slots import SlotRange
from provisioning.topology import agree, disagreements
from tests.unit.listing import M1, M2, M3, R3, Entries, change, entries, node_id

pytestmark = pytest.mark.unit


def view_of(lines: Entries, seen_by: str = M1) -> ClusterView:
    return ClusterView(tuple(lines.values()), seen_by=seen_by)


def test_view_names_owners_and_shards() -> None:
    """A healthy view has three shards in slot order, an owner for every slot, and no overlap."""
    view = view_of(entries())
    assert [shard.master.node_id for shard in view.shards] == [node_id(M1), node_id(M2), node_id(M3)]
    assert [entry.node_id for entry in view.replicas_of(node_id(M1))] == [node_id(R3)]
    owner = view.owner_of(15495)
    assert owner is not None
    assert owner.node_id == view.slot_owners[15495] == node_id(M3)
    assert (view.uncovered, view.overlaps) == ((), ())
    assert view.covered == (SlotRange(0, 16383),)


def test_gaps_and_overlaps_are_ranges() -> None:
    """Slots without an owner and slots with two are given as ranges; of two owners the newer epoch counts."""
    lines = entries()
    change(lines, M1, slots=(SlotRange(10, 5463),))
    view = view_of(lines)
    assert view.uncovered == (SlotRange(0, 9),)
    (overlap,) = view.overlaps
    assert overlap.slots == SlotRange(5461, 5463)
    assert set(overlap.owners) == {node_id(M1), node_id(M2)}
    assert view.slot_owners[5462] == node_id(M2)
    assert view.owner_of(5) is None


def test_same_line_twice_is_no_overlap() -> None:
    """A listing pasted with a line repeated does not give a slot two owners."""
    lines = list(entries().values())
    assert ClusterView((*lines, lines[0])).overlaps == ()


def test_equal_views_agree_whatever_their_order_and_clocks() -> None:
    """Order of lines, timestamps, link states and the viewer's own flag are no disagreement."""
    lines = entries(M2)
    change(lines, M3, pong_received=5, link_state="disconnected", flag="pfail")
    shuffled = ClusterView(tuple(reversed(lines.values())), seen_by=M2)
    assert agree([view_of(entries()), shuffled])
    assert disagreements([view_of(entries()), shuffled]) == ()


def test_handshake_is_no_disagreement() -> None:
    """A node in handshake has an id that its viewer made up, so it is not compared."""
    lines = entries()
    lines["new"] = entries()[R3].__class__("0" * 40, "192.168.171.104", 6373, flags=frozenset({"handshake"}))
    assert agree([view_of(entries()), view_of(lines, M2)])


def test_differences_say_who_says_what() -> None:
    """Slot owner, role, master and membership that differ are each shown with the viewers of every statement."""
    moved, turned, without = entries(M2), entries(M3), entries(R3)
    change(moved, M1, slots=(SlotRange(0, 5459),))
    change(moved, M2, slots=(SlotRange(5460, 10922),))
    change(turned, R3, role="master", master_id="")
    del without[R3]
    views = [view_of(entries()), view_of(moved, M2), view_of(turned, M3), view_of(without, "outsider")]
    names = {node_id(name): name for name in (M1, M2, M3, R3)}
    found = {(each.aspect, each.subject): str(each) for each in disagreements(views, names)}
    assert set(found) == {("slot owner", "slots 5460"), ("role", R3), ("node set", R3)}
    assert f"{M2} says {M2}" in found["slot owner", "slots 5460"]
    assert f"{M3} says master" in found["role", R3]
    assert "outsider says absent" in found["node set", R3]


def test_other_master_is_shown() -> None:
    """A replica that follows different masters in two views is a difference of its own."""
    lines = entries(M2)
    change(lines, R3, master_id=node_id(M2))
    (difference,) = disagreements([view_of(entries()), view_of(lines, M2)], {node_id(R3): R3})
    assert (difference.aspect, difference.subject) == ("master", R3)
