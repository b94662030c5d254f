"""Slots are computed as Redis does, and ranges are read, printed and joined without loss."""

from __future__ import annotations

import binascii
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot as slot_of_redis_py

from provisioning.slots import SLOTS, SlotRange, joined_ranges, key_in_slot, key_slot, show_ranges
from tests.examples import examples

pytestmark = pytest.mark.unit

SLOT = st.integers(0, SLOTS - 1)
RANGES = st.lists(st.tuples(SLOT, st.integers(0, 40)).map(lambda p: SlotRange(p[0], min(p[0] + p[1], SLOTS - 1))))


@examples(300)
@given(key=st.one_of(st.binary(), st.text("{}ab", max_size=12).map(str.encode)))
def test_the_slot_is_that_of_redis_py(key: bytes) -> None:
    """For any bytes, with braces anywhere, our slot is redis-py's."""
    assert key_slot(key) == slot_of_redis_py(key)


@examples()
@given(key=st.text(st.characters(codec="utf-8")))
def test_text_is_its_utf8(key: str) -> None:
    """A key given as text has the slot of its bytes."""
    assert key_slot(key) == key_slot(key.encode())


@pytest.mark.parametrize(
    ("key", "slot"),
    [("a", 15495), ("b", 3300), ("c", 7365), ("d", 11298), ("e", 15363), ("f", 3168), ("123456789", 0x31C3), ("", 0)],
)
def test_known_slots(key: str, slot: int) -> None:
    """The seed's table, and the check value of the specification."""
    assert key_slot(key) == slot


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        ("{user1000}.following", "user1000"),
        ("foo{}{bar}", "foo{}{bar}"),
        ("foo{{bar}}zap", "{bar"),
        ("foo{bar}{zap}", "bar"),
        ("foo}{bar", "foo}{bar"),
        ("a{b", "a{b"),
    ],
)
def test_hash_tags_are_those_of_the_specification(key: str, tag: str) -> None:
    """Only what is between the first { and the first } after it counts, if there is anything."""
    assert key_slot(key) == binascii.crc_hqx(tag.encode(), 0) % SLOTS


@examples(20)
@given(slot=SLOT)
def test_a_key_can_be_had_for_every_slot(slot: int) -> None:
    """The key begins with the prefix, has the slot, and is the same each time."""
    key = key_in_slot(slot, "probe:")
    assert key.startswith("probe:")
    assert key_slot(key) == slot
    assert key_in_slot(slot, "probe:") == key


@examples()
@given(first=SLOT, last=SLOT)
def test_a_range_prints_as_it_reads(first: int, last: int) -> None:
    """Parsing what is printed gives the range; a backward one is refused."""
    if first > last:
        with pytest.raises(ValueError, match="no slot range"):
            SlotRange(first, last)
        return
    each = SlotRange(first, last)
    assert SlotRange.parse(str(each)) == each
    assert (len(each), list(each)[0], list(each)[-1]) == (last - first + 1, first, last)  # noqa: RUF015
    assert first in each
    assert last + 1 not in each


@pytest.mark.parametrize(
    "text", ["", "-", "1-", "-1", "a", "1-b", "1--2", "16384", "0-16384", "5-4", "1 2", "²", "1-²", "0x1", "1-2-3"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    """Anything but N or N-M within 0-16383 is a ValueError that shows it."""
    with pytest.raises(ValueError, match="no slot range"):
        SlotRange.parse(text)


@examples()
@given(ranges=RANGES)
def test_joined_ranges_are_the_same_slots(ranges: list[SlotRange]) -> None:
    """The same slots, each once, in order, and no two ranges that touch."""
    joined = joined_ranges(ranges)
    assert [slot for each in joined for slot in each] == sorted({slot for each in ranges for slot in each})
    assert all(left.last + 1 < right.first for left, right in itertools.pairwise(joined))
    assert joined_ranges(joined) == joined


def test_ranges_are_shown() -> None:
    """In the form of CLUSTER NODES, and no slots in words."""
    assert show_ranges([SlotRange(0, 5460), SlotRange(9, 9)]) == "0-5460 9"
    assert show_ranges([]) == "no slots"
