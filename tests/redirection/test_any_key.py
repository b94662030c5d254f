"""For any key whatsoever: the slot that we compute, the server's and redis-py's are one, and it leads to the owner."""

from __future__ import annotations

import redis.crc
from hypothesis import given
from hypothesis import strategies as st

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.slots import key_slot
from tests.examples import examples
from tests.redirection.one_hop import one_hop

braces = st.text("{}ab", max_size=12).map(str.encode)
"""Keys in which hash tags begin, end, are empty, nested and repeated."""

keys = st.one_of(st.binary(min_size=1, max_size=40), st.text(min_size=1, max_size=20).map(str.encode), braces)

quickly = examples(120)
"""A look at a real server is part of every example: its time says nothing."""


def test_all_agree_on_the_slot_of_any_key(cluster: Cluster) -> None:
    """Our slot, CLUSTER KEYSLOT of every node and redis-py's slot are equal."""
    connections = [cluster.connection(node) for node in cluster.inventory.nodes]
    for connection in connections:
        connection.call("PING")  # a node that is dead is no example to be shrunk, each time waiting for it

    @quickly
    @given(st.lists(keys, min_size=1, max_size=20))
    def agree(batch: list[bytes]) -> None:
        ours = [key_slot(key) for key in batch]
        for connection in connections:
            assert connection.calls([("CLUSTER", "KEYSLOT", key) for key in batch]) == ours
        assert [redis.crc.key_slot(key) for key in batch] == ours

    agree()
    for connection in connections:
        connection.close()


def test_any_key_reaches_its_owner_through_any_node(writable_cluster: Cluster) -> None:
    """Written through one node and read through another, each in at most one hop, a key lies on its slot's owner."""
    cluster = writable_cluster
    owners = {slot: node for node in cluster.inventory.masters for each in node.slots for slot in each}
    entries = st.sampled_from(cluster.inventory.nodes)

    @quickly
    @given(keys, st.binary(max_size=40).map(bytes.hex), entries, entries)
    def lands(key: bytes, value: str, writer: Node, reader: Node) -> None:
        owner = owners[key_slot(key)]

        assert one_hop(cluster, writer, "SET", key, value) == ("OK", owner)
        assert one_hop(cluster, reader, "GET", key) == (value, owner)
        assert cluster.call(owner, "CLUSTER", "COUNTKEYSINSLOT", key_slot(key)) >= 1

    lands()
