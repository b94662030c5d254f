"""Every layout that is accepted survives the loss of a host, and an impossible one is refused with the reason."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.errors import LayoutError
from provisioning.layout import equal_ranges, plan
from provisioning.planned_inventory import planned_inventory
from provisioning.slots import SLOTS, SlotRange, joined_ranges
from tests.examples import examples

pytestmark = pytest.mark.unit


def holds(hosts: int, shards: int, replicas: int) -> bool:
    """True where a layout of that size can survive the loss of any host."""
    fullest = -(-shards // hosts) if hosts > 0 else shards
    return (
        shards >= 3
        and hosts >= 2
        and 0 <= replicas < hosts
        and 2 * fullest < shards
        and hosts <= shards * (1 + replicas)
    )


@examples(200)
@given(hosts=st.integers(-1, 14), shards=st.integers(-1, 14), replicas=st.integers(-1, 4))
def test_an_accepted_plan_survives_every_host(hosts: int, shards: int, replicas: int) -> None:
    """All shards placed; no two nodes of a shard on one host; no idle host, none with half the masters; or refused."""
    if not holds(hosts, shards, replicas):
        with pytest.raises(LayoutError) as caught:
            plan(hosts, shards, replicas)
        assert caught.value.expected
        assert caught.value.advice
        return
    planned = plan(hosts, shards, replicas)
    assert Counter((node.shard, node.role) for node in planned) == {
        **{(shard, "master"): 1 for shard in range(shards)},
        **({(shard, "replica"): replicas for shard in range(shards)} if replicas else {}),
    }
    assert {node.host for node in planned} <= set(range(hosts))
    assert max(Counter((node.host, node.shard) for node in planned).values()) == 1
    masters = Counter(node.host for node in planned if node.role == "master")
    assert all(2 * count < shards for count in masters.values())
    assert {node.host for node in planned} == set(range(hosts))


def test_every_accepted_size_has_an_inventory() -> None:
    """What can be planned can be written down: distinct ports on a host, replicas elsewhere, all slots once."""
    for hosts, shards, replicas in product(range(3, 8), range(3, 8), range(3)):
        if not holds(hosts, shards, replicas):
            continue
        inventory = planned_inventory(hosts, shards, replicas)
        assert len(inventory.hosts) == hosts
        assert len(inventory.masters) == shards
        assert all(len(shard.replicas) == replicas for shard in inventory.shards)
        for shard in inventory.shards:
            assert len({shard.master.host, *(each.host for each in shard.replicas)}) == 1 + replicas
        ranges = [each for master in inventory.masters for each in master.slots]
        assert joined_ranges(ranges) == (SlotRange(0, SLOTS - 1),)
        assert sum(map(len, ranges)) == SLOTS


def test_the_seed_is_the_plan_for_three_hosts() -> None:
    """3 hosts x 3 shards x 1 replica is the seed's inventory: names, ports, slots, and who follows whom."""
    seed = read_inventory(DEFAULT_INVENTORY)
    planned = planned_inventory(3, 3, 1)
    assert [host.address for host in planned.hosts] == [host.address for host in seed.hosts]
    assert planned.nodes == seed.nodes


@examples(60)
@given(shards=st.integers(1, SLOTS))
def test_equal_ranges_leave_nothing_out(shards: int) -> None:
    """The ranges follow each other without gap from 0 to 16383, and differ by one slot at most."""
    ranges = equal_ranges(shards)
    assert len(ranges) == shards
    assert [slot for each in ranges for slot in (each.first, each.last + 1)][1:-1] == [
        bound for each in ranges[1:] for bound in (each.first, each.first)
    ]
    assert (ranges[0].first, ranges[-1].last) == (0, SLOTS - 1)
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_three_ranges_are_those_of_redis_cli() -> None:
    """0-5460, 5461-10922, 10923-16383."""
    assert [str(each) for each in equal_ranges(3)] == ["0-5460", "5461-10922", "10923-16383"]


@pytest.mark.parametrize(
    ("hosts", "shards", "replicas", "says"),
    [
        (3, 2, 1, "at least 3 shards"),
        (1, 3, 1, "another host than its master"),
        (1, 3, 0, "less than half of the masters"),
        (2, 3, 1, "less than half of the masters"),
        (3, 4, 1, "use --hosts 4 or more"),
        (3, 3, 3, "use --hosts 4 or more"),
        (0, 3, 1, "1 host or more"),
        (3, 3, -1, "0 replicas or more"),
        (7, 3, 1, "use --hosts 6 or fewer"),
        (3, SLOTS + 1, 1, "at most 16384"),
        (200, 200, 1, "at most 150 hosts"),
    ],
)
def test_an_impossible_layout_is_refused_with_the_reason(hosts: int, shards: int, replicas: int, says: str) -> None:
    """One host, two masters, more replicas than other hosts, half of the masters on a host, and sizes out of reach."""
    with pytest.raises(LayoutError, match=says):
        planned_inventory(hosts, shards, replicas)


def test_the_advice_is_sufficient() -> None:
    """The number of hosts that a refusal advises is accepted, and one host fewer is not."""
    for shards in range(3, 40):
        with pytest.raises(LayoutError) as caught:
            plan(2, shards, 1) if shards < 5 else plan(1, shards, 0)
        least = int(caught.value.advice.split("--hosts ")[1].split()[0])
        plan(least, shards, 1 if least > 1 else 0)
        with pytest.raises(LayoutError):
            plan(least - 1, shards, 0)
