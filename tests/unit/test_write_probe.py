"""What the write probe says of its attempts: first writes and stalls, from hand-made attempts."""

from __future__ import annotations

import time

import pytest

from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.evidence.probe import Attempt, Outcome, WriteProbe

SHARD = "redis-host-1/redis_master"
REPLICA = "redis-host-3/redis_slave"


def probe(*attempts: tuple[str, float, Outcome]) -> WriteProbe:
    """Return a probe that made these attempts: node, end in seconds from now (negative: before), outcome."""
    made = WriteProbe(read_inventory(DEFAULT_INVENTORY).shards)
    now = time.monotonic()
    made.attempts = [Attempt(SHARD, node, now + at - 0.001, now + at, outcome) for node, at, outcome in attempts]
    return made


def test_a_stall_lasts_from_write_to_write() -> None:
    """The longest time between two acknowledged writes, refused ones in between not counting."""
    seen = probe(
        (SHARD, -9, "acknowledged"),
        (SHARD, -7, "refused"),
        (REPLICA, -2, "acknowledged"),
        (REPLICA, -1, "acknowledged"),
    )
    assert seen.longest_stall(SHARD, time.monotonic() - 8) == pytest.approx(7, abs=0.5)


def test_a_stall_that_has_not_ended_counts() -> None:
    """From the last acknowledged write until now."""
    seen = probe((SHARD, -6, "acknowledged"), (SHARD, -5, "acknowledged"), (SHARD, -1, "unreachable"))
    assert seen.longest_stall(SHARD, time.monotonic() - 5.5) == pytest.approx(5, abs=0.5)


def test_a_stall_before_the_fault_does_not_count() -> None:
    """What was over before the fault began is no outage of it."""
    seen = probe(
        (SHARD, -20, "acknowledged"),
        (SHARD, -10, "acknowledged"),
        (SHARD, -9, "acknowledged"),
        (SHARD, 0, "acknowledged"),
    )
    assert seen.longest_stall(SHARD, time.monotonic() - 9.5) < 9.9


def test_a_shard_that_never_accepted_has_no_end_of_its_stall() -> None:
    """Infinite, not zero."""
    assert probe((SHARD, -1, "refused")).longest_stall(SHARD, 0) == float("inf")


def test_the_first_write_is_another_nodes_and_after_the_fault() -> None:
    """Neither a write before the fault nor one that the victim still acknowledged."""
    seen = probe((REPLICA, -9, "acknowledged"), (SHARD, -4, "acknowledged"), (REPLICA, -2, "acknowledged"))
    first = seen.first_write(SHARD, time.monotonic() - 5, not_by=SHARD)
    assert first is not None
    assert (first.node, first.ended) == (REPLICA, seen.attempts[2].ended)
    assert seen.first_write(SHARD, time.monotonic() - 1, not_by=SHARD) is None


def test_attempts_of_several_nodes_are_in_the_order_of_their_end() -> None:
    """Every node has a writer of its own; what they did is merged."""
    seen = probe((REPLICA, -1, "acknowledged"), (SHARD, -3, "acknowledged"))
    assert [each.node for each in seen.acknowledged(SHARD)] == [SHARD, REPLICA]
