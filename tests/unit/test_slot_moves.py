"""Slots are moved so that everybody has a share, and as few as possible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.slot_moves import SlotMove, even_moves, exact_moves
from provisioning.slots import SLOTS

pytestmark = pytest.mark.unit


def after(owned: dict[str, set[int]], moves: list[SlotMove]) -> dict[str, set[int]]:
    """Return who owns what after the moves; each must come from its owner."""
    owners = {name: set(slots) for name, slots in owned.items()}
    for each in moves:
        owners[each.source].remove(each.slot)
        owners.setdefault(each.target, set()).add(each.slot)
    return owners


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


def test_even_shares_stay() -> None:
    """Equal ranges need no move."""
    owned = {"a": set(range(5461)), "b": set(range(5461, 10923)), "c": set(range(10923, SLOTS))}
    assert list(even_moves(owned, ["a", "b", "c"])) == []


def test_exactly_the_wanted_slots_move() -> None:
    """Only what is with another moves; what nobody owns cannot."""
    owned = {"a": {0, 1, 2}, "b": {3, 4}}
    wanted = {"a": {0, 1}, "b": {2, 3, 4, 5}}
    assert list(exact_moves(owned, wanted)) == [SlotMove(2, "a", "b")]
