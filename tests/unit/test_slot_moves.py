"""Slots are moved so that everybody has a share, and as few as possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.slot_moves import (
    SLOTS_AT_ONCE,
    SlotMove,
    batches,
    even_moves,
    exact_moves,
    migrate_patience,
)
from provisioning.slots import SLOTS
from tests.examples import examples

pytestmark = pytest.mark.unit


def after(owned: dict[str, set[int]], moves: list[SlotMove]) -> dict[str, set[int]]:
    """Return who owns what after the moves; each must come from its owner."""
    owners = {name: set(slots) for name, slots in owned.items()}
    for each in moves:
        owners[each.source].remove(each.slot)
        owners.setdefault(each.target, set()).add(each.slot)
    return owners


@examples()
@given(st.data())
def test_shares_are_even_and_nothing_moves_in_vain(data: st.DataObject) -> None:
    """Those who keep slots differ by one at most; who does not has none; nobody gives and takes."""
    names = [f"m{n}" for n in range(data.draw(st.integers(1, 6)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, SLOTS), min_size=len(names) - 1, max_size=len(names) - 1)))
    bounds = [0, *cuts, SLOTS]
    owned = {name: set(range(bounds[n], bounds[n + 1])) for n, name in enumerate(names)}
    keeping = data.draw(st.lists(st.sampled_from([*names, "new1", "new2"]), min_size=1, unique=True))
    moves = list(even_moves(owned, keeping))
    owners = after(owned, moves)
    sizes = [len(owners.get(name, ())) for name in keeping]
    assert sum(sizes) == SLOTS
    assert max(sizes) - min(sizes) <= 1
    assert not {each.source for each in moves} & {each.target for each in moves}


@pytest.mark.parametrize(
    ("keys", "node_timeout_ms", "patience"), [(1, 5000, 2500), (10, 5000, 454), (1, 60_000, 5000), (10, 5, 1)]
)
def test_many_keys_have_together_the_patience_of_a_node_timeout(keys: int, node_timeout_ms: int, patience: int) -> None:
    """The source is silent while it waits for the target to take them, and for each answer."""
    assert migrate_patience(keys, node_timeout_ms) == patience


def test_even_shares_stay() -> None:
    """Equal ranges need no move."""
    owned = {"a": set(range(5461)), "b": set(range(5461, 10923)), "c": set(range(10923, SLOTS))}
    assert list(even_moves(owned, ["a", "b", "c"])) == []


def test_exactly_the_wanted_slots_move() -> None:
    """Only what is with another moves; what nobody owns cannot."""
    owned = {"a": {0, 1, 2}, "b": {3, 4}}
    wanted = {"a": {0, 1}, "b": {2, 3, 4, 5}}
    assert list(exact_moves(owned, wanted)) == [SlotMove(2, "a", "b")]


@examples()
@given(st.data())
def test_who_gets_slots_too_is_never_without_any(data: st.DataObject) -> None:
    """Whoever gives its last slot gets none after that; all moves are made, some at a time, between two masters.

    In a ring of masters that have one slot each somebody must be the first.
    """
    names = [f"m{n}" for n in range(data.draw(st.integers(2, 5)))]
    before = data.draw(st.lists(st.sampled_from(names), min_size=len(names), max_size=300))
    before[: len(names)] = names
    wish = data.draw(st.lists(st.sampled_from(names), min_size=len(before), max_size=len(before)))
    owned = {name: {slot for slot, owner in enumerate(before) if owner == name} for name in names}
    wanted = {name: {slot for slot, owner in enumerate(wish) if owner == name} for name in names}
    moves = list(exact_moves(owned, wanted))
    made = list(batches(moves, owned))
    assert sorted(map(str, moves)) == sorted(str(each) for batch in made for each in batch)
    left = {name: set(slots) for name, slots in owned.items()}
    for number, batch in enumerate(made):
        assert 0 < len(batch) <= SLOTS_AT_ONCE
        assert len({(each.source, each.target) for each in batch}) == 1
        had_one = all(len(left[later[0].source]) == 1 for later in made[number:])
        left = after(left, batch)
        gets_later = any(later[0].target == batch[0].source for later in made[number + 1 :])
        assert left[batch[0].source] or not gets_later or had_one
    assert left == wanted


def test_two_masters_can_change_places() -> None:
    """The first to give keeps one slot back, until it has got what it is to get."""
    owned = {"a": set(range(10)), "b": set(range(10, 20))}
    made = list(batches(exact_moves(owned, {"a": owned["b"], "b": owned["a"]}), owned))
    assert [(batch[0].source, len(batch)) for batch in made] == [("a", 9), ("b", 10), ("a", 1)]
