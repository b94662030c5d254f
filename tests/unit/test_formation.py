"""The nodes.conf that servers are born with describes the wanted cluster, and nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.formation import identities, seeded_nodes_conf
from provisioning.inventory import Inventory
from provisioning.planned_inventory import planned_inventory
from tests.examples import examples

pytestmark = pytest.mark.unit

SIZES = st.sampled_from([(3, 3, 1), (3, 3, 2), (5, 5, 1), (4, 6, 1), (3, 3, 0)])
SEED = read_inventory(DEFAULT_INVENTORY)


def of_size(size: tuple[int, int, int]) -> Inventory:
    hosts, shards, replicas = size
    return planned_inventory(hosts, shards, replicas)


@examples(25)
@given(size=SIZES, salt=st.text(max_size=8))
def test_identities_are_unique(size: tuple[int, int, int], salt: str) -> None:
    """Ids are 40 hex digits and distinct, epochs are distinct, shard ids are shared by a shard and nobody else."""
    inventory = of_size(size)
    known = identities(inventory, salt)
    ids = [each.node_id for each in known.values()] + sorted({each.shard_id for each in known.values()})
    assert all(re.fullmatch("[0-9a-f]{40}", each) for each in ids)
    assert len(set(ids)) == len(ids) == len(inventory.nodes) + len(inventory.shards)
    assert sorted(each.epoch for each in known.values()) == list(range(1, len(inventory.nodes) + 1))
    for shard in inventory.shards:
        mine = {known[node.full_name].shard_id for node in shard.nodes}
        assert mine == {known[shard.master.full_name].shard_id}


def test_a_salt_decides_the_identities() -> None:
    """The same salt gives the same ids, another salt others: a rebuilt cluster is not taken for the old one."""
    assert identities(SEED, "a") == identities(SEED, "a")
    old, new = identities(SEED, "a"), identities(SEED, "b")
    assert {each.node_id for each in old.values()}.isdisjoint(each.node_id for each in new.values())
    assert {each.shard_id for each in old.values()}.isdisjoint(each.shard_id for each in new.values())


@examples(25)
@given(size=SIZES, salt=st.text(max_size=8))
def test_a_seeded_view_is_the_wanted_cluster(size: tuple[int, int, int], salt: str) -> None:
    """Read back, every node's file shows each node's address, role, master, slots, epoch and shard, and itself."""
    inventory = of_size(size)
    known = identities(inventory, salt)
    for own in inventory.nodes:
        view = parse_cluster_nodes(seeded_nodes_conf(inventory, known, own))
        assert view.unreadable == ()
        entries = {entry.node_id: entry for entry in view.entries}
        assert len(view.entries) == len(entries) == len(inventory.nodes)
        for node in inventory.nodes:
            entry = entries[known[node.full_name].node_id]
            assert (entry.address, entry.bus_port) == (node.address, node.bus_port)
            assert entry.slots == node.slots
            assert entry.role == node.role
            assert entry.flags - {"myself"} == {node.role}
            assert entry.is_myself == (node is own)
            assert entry.master_id == (known[node.replica_of].node_id if node.replica_of else "")
            assert entry.config_epoch == known[node.full_name].epoch
            assert entry.shard_id == known[node.full_name].shard_id
            assert entry.link_connected


def test_the_current_epoch_is_no_less_than_any_other() -> None:
    """The last line has a current epoch that covers all, and no vote; without the line break Redis refuses the file."""
    known = identities(SEED, "x")
    text = seeded_nodes_conf(SEED, known, SEED.nodes[0])
    assert text.endswith(f"\nvars currentEpoch {max(each.epoch for each in known.values())} lastVoteEpoch 0\n")


def test_all_files_differ_only_in_who_is_myself() -> None:
    """The nodes are born with one and the same view."""
    known = identities(SEED, "x")
    texts = {seeded_nodes_conf(SEED, known, own).replace("myself,", "") for own in SEED.nodes}
    assert len(texts) == 1
