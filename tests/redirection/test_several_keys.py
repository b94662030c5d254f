"""Commands on several keys work within one slot and are refused across slots."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.slots import key_in_slot, key_slot


def test_keys_of_several_slots_are_refused(cluster: Cluster) -> None:
    """CROSSSLOT from every node, be the slots of two shards or of one: the client is not sent elsewhere."""
    first = cluster.inventory.masters[0].slots[0].first
    pairs = [("a", "b"), (key_in_slot(first), key_in_slot(first + 1))]
    for keys in pairs:
        answers = {node.full_name: cluster.ask(node, "EXISTS", *keys) for node in cluster.inventory.nodes}

        assert {answer.partition(" ")[0] for answer in answers.values()} == {"CROSSSLOT"}, answers


def test_a_hash_tag_keeps_keys_together(writable_cluster: Cluster) -> None:
    """Keys with the same hash tag are written and read by one command, in the slot of the tag alone."""
    tagged = {"{cart}:items": "3", "{cart}:owner": "x", "total{cart}": "7"}
    slot = key_slot("cart")
    owner = writable_cluster.owner(slot)

    assert {key_slot(key) for key in tagged} == {slot}
    assert writable_cluster.call(owner, "MSET", *(word for pair in tagged.items() for word in pair)) == "OK"
    assert writable_cluster.call(owner, "MGET", *tagged) == list(tagged.values())
    assert writable_cluster.call(owner, "CLUSTER", "COUNTKEYSINSLOT", slot) == len(tagged)
