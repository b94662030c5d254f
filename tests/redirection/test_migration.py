"""While a slot moves, each of its keys is served by the one node that has it; afterwards all know the new owner."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.slots import key_in_slot
from tests.redirection.migration import migrate_keys, migrating, open_slot
from tests.redirection.server_version import major_version

KEYS = 200

TRYAGAIN_AT_SOURCE_SINCE = 7
"""Before 7.0 the source answers ASK as soon as one key is missing, and the target then TRYAGAIN."""


@dataclass(frozen=True)
class Move:
    """A slot on its way, and three keys of it."""

    slot: int
    source: Node
    target: Node
    keys: tuple[str, str, str]

    @property
    def asked_elsewhere(self) -> str:
        return f"ASK {self.slot} {self.target.address}"

    @property
    def still_at_source(self) -> str:
        return f"MOVED {self.slot} {self.source.address}"


def planned_move(cluster: Cluster) -> Move:
    """The first slot of the first shard, to the master of the last."""
    source, target = cluster.inventory.shards[0].master, cluster.inventory.shards[-1].master
    slot = source.slots[0].first
    first, second, third = (key_in_slot(slot) + suffix for suffix in ("one", "two", "three"))
    return Move(slot, source, target, (first, second, third))


def test_a_key_not_yet_moved_is_served_at_the_source(writable_cluster: Cluster) -> None:
    """The source answers for the keys that it has, and says ASK, not MOVED, for those that it has not."""
    move = planned_move(writable_cluster)
    here, gone, _ = move.keys
    writable_cluster.call(move.source, "SET", here, "value")

    with migrating(writable_cluster, move.slot, move.source, move.target):
        assert writable_cluster.ask(move.source, "GET", here) == "value"
        assert writable_cluster.ask(move.source, "GET", gone) == move.asked_elsewhere
        assert writable_cluster.ask(move.source, "SET", gone, "new") == move.asked_elsewhere
        assert writable_cluster.ask(move.target, "GET", here) == move.still_at_source


def test_asking_opens_the_target_for_one_command(writable_cluster: Cluster) -> None:
    """After ASKING the target serves the slot once; the command after that is sent back to the source."""
    move = planned_move(writable_cluster)
    key = move.keys[0]

    with migrating(writable_cluster, move.slot, move.source, move.target):
        with writable_cluster.connection(move.target) as connection:
            said = connection.calls(
                [("SET", key, "1"), ("ASKING",), ("SET", key, "2"), ("GET", key), ("ASKING",), ("GET", key)],
                raise_refusals=False,
            )

    back = move.still_at_source
    assert [str(answer) for answer in said] == [back, "OK", "OK", back, "OK", "2"]


def test_split_keys_are_to_be_tried_again(writable_cluster: Cluster) -> None:
    """Where some of a command's keys have moved both nodes answer TRYAGAIN; where none or all have, they do not."""
    move = planned_move(writable_cluster)
    first, second, missing = move.keys
    writable_cluster.call(move.source, "MSET", first, "1", second, "2")

    with migrating(writable_cluster, move.slot, move.source, move.target):
        assert writable_cluster.call(move.source, "MGET", first, second) == ["1", "2"]
        migrate_keys(writable_cluster, move.source, move.target, [second])
        with writable_cluster.connection(move.target) as connection:
            _, split, _, alone = connection.calls(
                [("ASKING",), ("MGET", first, second), ("ASKING",), ("GET", second)], raise_refusals=False
            )

        refusal = "TRYAGAIN" if major_version(writable_cluster) >= TRYAGAIN_AT_SOURCE_SINCE else move.asked_elsewhere
        assert writable_cluster.ask(move.source, "MGET", first, second).startswith(refusal)
        assert writable_cluster.ask(move.source, "MGET", second, missing) == move.asked_elsewhere
        assert str(split).startswith("TRYAGAIN")
        assert alone == "2"


def test_a_moved_slot_belongs_to_the_target_with_all_its_keys(fresh_cluster: Cluster) -> None:
    """The target and its replica have the keys, every node names it as the owner, and the source keeps nothing."""
    cluster = fresh_cluster
    move = planned_move(cluster)
    source, target, slot = move.source, move.target, move.slot
    values = {f"{move.keys[0]}:{n}": f"value {n}" for n in range(KEYS)}
    with cluster.connection(source) as connection:
        connection.calls([("SET", key, value, "EX", 3600) for key, value in values.items()])

    open_slot(cluster, slot, source, target)
    migrate_keys(cluster, source, target, cluster.call(source, "CLUSTER", "GETKEYSINSLOT", slot, 2 * KEYS))
    for node in (target, source):
        cluster.call(node, "CLUSTER", "SETSLOT", slot, "NODE", cluster.ids()[target.full_name])
    cluster.wait_owner(slot, target, cluster.inventory.nodes, 2 * cluster.inventory.node_timeout)
    cluster.wait_agreement(cluster.inventory.nodes, 2 * cluster.inventory.node_timeout)

    assert dict(zip(values, cluster.call(target, "MGET", *values), strict=True)) == values
    assert all(cluster.call(target, "PTTL", key) > 0 for key in list(values)[:20])
    assert cluster.call(source, "CLUSTER", "COUNTKEYSINSLOT", slot) == 0
    wrong = [node for node in cluster.inventory.nodes if node != target]
    assert {cluster.ask(node, "GET", move.keys[0]) for node in wrong} == {f"MOVED {slot} {target.address}"}
    for view in cluster.views().values():
        assert view is not None
        assert not any(entry.migrating or entry.importing for entry in view.entries)
    for replica in cluster.shard_of(target).replicas:
        cluster.wait_replica(replica, target, cluster.inventory.node_timeout)
        with cluster.connection(replica) as connection:
            assert connection.calls([("READONLY",), ("MGET", *values)])[1] == list(values.values())
