"""Subnets are small, free of every collision, and the hosts keep their last octets."""

from __future__ import annotations

import ipaddress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning import subnets
from provisioning.errors import SimulationError
from provisioning.networks import last_octets
from provisioning.subnets import DEFAULT_POOL, POOL_VARIABLE, Network, free_slots, gateway, pool, smallest_around
from tests.examples import examples

pytestmark = pytest.mark.unit

BASE = Network("10.213.7.0/24")


@examples(150)
@given(octets=st.sets(st.integers(2, 254), min_size=1, max_size=6))
def test_a_subnet_holds_its_octets_and_no_smaller_one_does(octets: set[int]) -> None:
    """No octet is the network's, the broadcast or the gateway address, and half the size would not do."""
    found = smallest_around(octets, BASE)
    wanted = {BASE.network_address + octet for octet in octets}
    assert found.subnet_of(BASE)
    assert wanted <= set(found.hosts())
    entrance = gateway(found, wanted)
    assert entrance in set(found.hosts()) - wanted
    for half in found.subnets() if found.prefixlen < 29 else ():
        assert not wanted < set(half.hosts())


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ({101, 102}, "10.213.7.96/29"),
        ({101, 102, 103}, "10.213.7.96/28"),
        ({103, 104}, "10.213.7.96/28"),
        ({127}, "10.213.7.0/24"),
        ({8}, "10.213.7.0/28"),
        ({2, 254}, "10.213.7.0/24"),
        (set(range(1, 7)), "10.213.7.0/28"),
    ],
)
def test_edges_are_avoided(octets: set[int], expected: str) -> None:
    """An octet on the edge of a small subnet, or one that leaves no gateway, makes it larger."""
    assert str(smallest_around(octets, BASE)) == expected


@pytest.mark.parametrize("octets", [{0}, {255}, set(range(1, 255))])
def test_what_fits_no_24_is_refused(octets: set[int]) -> None:
    """The edges of a /24, or a full one without room for the gateway, are one clear error."""
    with pytest.raises(SimulationError, match="do not fit"):
        smallest_around(octets, BASE)


def test_the_pool_is_private_and_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """10.213.0.0/16 by default, else the variable's."""
    monkeypatch.delenv(POOL_VARIABLE, raising=False)
    assert pool() == Network(DEFAULT_POOL)
    assert pool().is_private
    monkeypatch.setenv(POOL_VARIABLE, "172.30.0.0/20")
    assert pool() == Network("172.30.0.0/20")


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.0/33", "10.0.0.1/16", "fd00::/64", "10.0.0.0/25", "0.0.0.0/0", "10.0.0.0", "10.0.0.0/7"]
)
def test_a_pool_that_is_none_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, host bits set, IPv6, too small or too large: one message with the variable's name and an example."""
    monkeypatch.setenv(POOL_VARIABLE, text)
    with pytest.raises(SimulationError, match=POOL_VARIABLE) as caught:
        pool()
    assert caught.value.expected
    assert caught.value.observed


def test_subnets_in_use_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """No slot overlaps a used network, be it smaller, equal or larger; all others are offered once."""
    monkeypatch.setenv(POOL_VARIABLE, "10.99.0.0/20")
    used = [Network(each) for each in ("10.99.1.64/29", "10.99.2.0/24", "10.99.8.0/21", "192.168.0.0/16")]
    offered = list(free_slots(used))
    assert {str(each) for each in offered} == {f"10.99.{n}.0/24" for n in (0, 3, 4, 5, 6, 7)}
    assert len(offered) == 6


def test_a_used_up_pool_offers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets no slot, rather than one that collides."""
    monkeypatch.setenv(POOL_VARIABLE, "10.99.0.0/22")
    assert list(free_slots([Network("10.0.0.0/8")])) == []


def test_two_runs_begin_at_different_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots come in random order, so that runs that start together seldom ask for the same."""
    monkeypatch.delenv(POOL_VARIABLE, raising=False)
    orders = {tuple(islice(free_slots([]), 3)) for _ in range(4)}
    assert len(orders) > 1


def test_routes_of_this_machine_are_networks() -> None:
    """Routes are read as networks, the default route not among them."""
    routes = subnets.routed_here()
    assert all(isinstance(each, ipaddress.IPv4Network) and each.prefixlen for each in routes)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("192.168.171.101", "192.168.171.102", "192.168.171.103"), (101, 102, 103)),
        (("10.0.0.7", "10.0.1.8", "10.0.2.9"), (7, 8, 9)),
        (("10.0.0.7", "10.0.1.7", "10.0.2.9"), (101, 102, 103)),
        (("10.0.0.7", "host-2", "10.0.2.9"), (101, 102, 103)),
        (("10.0.0.7", "10.0.0.1", "10.0.2.9"), (101, 102, 103)),
        (("10.0.0.7", "10.0.0.0", "10.0.2.255"), (101, 102, 103)),
        (("::1", "::2", "::3"), (101, 102, 103)),
    ],
)
def test_last_octets_are_the_inventorys_where_they_can_be(
    addresses: tuple[str, ...], expected: tuple[int, ...]
) -> None:
    """Names, equal octets and the edges of a subnet give way to 101, 102, ..., all others are kept."""
    names = ("a", "b", "c")
    assert last_octets(dict(zip(names, addresses, strict=True))) == dict(zip(names, expected, strict=True))
