"""A sharded channel lives in the shard of its slot, and there only."""

from __future__ import annotations

import pytest

from provisioning.cluster import Cluster
from provisioning.slots import key_in_slot
from tests.redirection.server_version import major_version

SINCE = 7
"""First server version with SSUBSCRIBE and SPUBLISH."""


@pytest.fixture
def sharding_cluster(writable_cluster: Cluster) -> Cluster:
    """A simulated cluster whose servers know sharded channels."""
    if (version := major_version(writable_cluster)) < SINCE:
        pytest.skip(f"sharded pub/sub came with {SINCE}.0, this server is compatible with {version}")
    return writable_cluster


def test_a_message_reaches_the_subscribers_of_its_shard(sharding_cluster: Cluster) -> None:
    """Published at the slot's owner, it is delivered to a subscriber there and to one at its replica."""
    cluster = sharding_cluster
    for shard in cluster.inventory.shards:
        channel = key_in_slot(shard.master.slots[0].first, "news:")
        for subscribed in shard.nodes:
            with cluster.connection(subscribed) as connection:
                assert connection.call("SSUBSCRIBE", channel) == ["ssubscribe", channel, 1]
                cluster.call(shard.master, "SPUBLISH", channel, "hello")

                assert connection.next_message(cluster.inventory.node_timeout) == ["smessage", channel, "hello"]


def test_other_shards_redirect_subscribers_and_publishers(sharding_cluster: Cluster) -> None:
    """Every node of another shard answers SSUBSCRIBE and SPUBLISH with MOVED to the owner of the channel's slot."""
    cluster = sharding_cluster
    shard = cluster.inventory.shards[0]
    slot = shard.master.slots[0].first
    channel = key_in_slot(slot, "news:")
    others = [node for node in cluster.inventory.nodes if cluster.shard_of(node) != shard]

    answers = {
        (node.full_name, words[0]): cluster.ask(node, *words)
        for node in others
        for words in (("SSUBSCRIBE", channel), ("SPUBLISH", channel, "hello"))
    }

    assert set(answers.values()) == {f"MOVED {slot} {shard.master.address}"}, answers
