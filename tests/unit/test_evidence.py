"""Evidence is all that was seen, and survives a file without its passwords."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from provisioning.evidence import CaptureError, Evidence, NodeEvidence
from provisioning.evidence.info import mask_secrets, parse_info, parse_number
from provisioning.evidence.redirect import parse_redirect
from provisioning.evidence.replication import parse_replication
from provisioning.evidence.rows import parse_cluster_shards, parse_cluster_slots, plain
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, R3, change, node_changed, node_id, pasted, seen_by_all, wanted

pytestmark = pytest.mark.unit


def test_capture_survives_json() -> None:
    """Evidence written as JSON and read again is the same, but for the passwords, which are not in it."""
    evidence = node_changed(seen_by_all(), M2, not_collected={"config": "NOPERM"}, config=None)
    evidence = replace(evidence, wanted=wanted(given=frozenset({"slots"})))
    text = json.dumps(evidence.to_dict())
    assert "secret-of-the-test" not in text
    again = Evidence.from_dict(json.loads(text))
    assert again.nodes == evidence.nodes
    assert again.hosts == evidence.hosts
    assert again.wanted is not None
    assert evidence.wanted is not None
    assert again.wanted == evidence.wanted.with_nodes(
        {node.full_name: replace(node, password="") for node in evidence.wanted.nodes}
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("42", 42), ("-1", -1), ("0", 0), ("", None), (None, None), ("4 2", None), ("\u0664", None), ("9" * 5000, None)],
)
def test_a_field_is_a_whole_number_or_none(text: str | None, number: int | None) -> None:
    """Numbers of INFO and CONFIG GET are read in one way; what a damaged recording has instead is none."""
    assert parse_number(text) == number


@pytest.mark.parametrize("values", [{}, {"schema": 99}, {"schema": 1}, {"schema": 1, "nodes": [{"nonsense": 1}]}])
def test_what_is_no_capture_is_refused(values: dict[str, object]) -> None:
    """A file of another schema, or a damaged one, is one clear error."""
    with pytest.raises(CaptureError):
        Evidence.from_dict(values)


def test_pasted_listing_is_evidence() -> None:
    """A listing alone gives views, names by address and hosts by IP."""
    evidence = pasted()
    entry = evidence.views[0].entry(node_id(R3))
    assert entry is not None
    assert evidence.name(entry) == "192.168.171.103:6374"
    assert evidence.host_of(entry) == "192.168.171.103"


def test_node_is_known_by_the_id_that_it_calls_its_own() -> None:
    """A node that is announced under a wrong address still has its inventory name and host."""
    evidence = seen_by_all(lambda lines: change(lines, R3, ip="172.17.0.9"))
    entry = evidence.views[0].entry(node_id(R3))
    assert entry is not None
    assert evidence.name(entry) == R3
    assert evidence.host_of(entry) == "redis-host-3"


def test_info_is_flat() -> None:
    """INFO gives name and value; section titles, blank lines and carriage returns are gone."""
    assert parse_info("# Server\r\nredis_version:8.0.2\r\n\r\nslave0:ip=1.2.3.4,port=1\r\n") == {
        "redis_version": "8.0.2",
        "slave0": "ip=1.2.3.4,port=1",
    }


def test_replication_is_read_from_both_ends() -> None:
    """A master's replicas and a replica's link come from INFO; what is missing is -1, not 0."""
    link = "ip=10.0.0.2,port=6379,state=online,offset=40,lag=1"
    master = parse_replication({"role": "master", "slave0": link, "slave_expires": "x"})
    assert [(each.ip, each.port, each.online, each.offset) for each in master.replicas] == [
        ("10.0.0.2", 6379, True, 40)
    ]
    assert master.offset == -1
    replica = parse_replication({"role": "slave", "master_link_status": "down", "master_port": "6379"})
    assert (replica.role, replica.link_up, replica.master_port, replica.link_down_seconds) == (
        "replica",
        False,
        6379,
        -1,
    )


def test_slots_and_shards_are_rows() -> None:
    """CLUSTER SLOTS and CLUSTER SHARDS as RESP2 sends them become rows that can be compared."""
    (row,) = parse_cluster_slots(plain([[0, 5, [b"10.0.0.1", 6379, b"a", []], [b"10.0.0.2", 6379, b"b", []]]]))
    assert (row.slots, row.master_id, row.replica_ids) == (SlotRange(0, 5), "a", ("b",))
    nodes = [[b"id", b"a", b"role", b"master", b"replication-offset", 7, b"health", b"online"]]
    (shard,) = parse_cluster_shards(plain([[b"slots", [0, 5], b"nodes", nodes]]))
    assert shard.slots == (SlotRange(0, 5),)
    assert (shard.nodes[0].node_id, shard.nodes[0].role, shard.nodes[0].offset) == ("a", "master", 7)
    with pytest.raises(ValueError, match="CLUSTER SLOTS"):
        parse_cluster_slots([[1]])


def test_secrets_are_masked_and_still_compared() -> None:
    """A masked password is not in the evidence, an empty one stays empty, and equal ones stay equal."""
    masked = mask_secrets({"requirepass": "one", "masterauth": "one", "maxmemory": "0"}, b"salt")
    assert "one" not in masked.values()
    assert masked["requirepass"] == masked["masterauth"] != mask_secrets({"masterauth": "two"}, b"salt")["masterauth"]
    assert mask_secrets({"requirepass": ""}, b"salt") == {"requirepass": ""}


def test_redirect_is_read() -> None:
    """MOVED with IPv4, IPv6, no host or an unknown one is read; anything else is none."""
    moved = parse_redirect("MOVED 3300 2001:db8::1:6373")
    assert moved is not None
    assert (moved.slot, moved.host, moved.port, moved.names_host) == (3300, "2001:db8::1", 6373, True)
    assert all(each is not None and not each.names_host for each in map(parse_redirect, ("MOVED 1 ?:5", "-MOVED 1 :5")))
    assert parse_redirect("CLUSTERDOWN Hash slot not served") is None


def test_view_says_who_saw_it() -> None:
    """The view of a node carries its name; a node that was not asked has none."""
    evidence = seen_by_all()
    assert evidence.views[0].seen_by == M1
    assert NodeEvidence("alone").view is None
