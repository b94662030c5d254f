"""Every wrong node names the right one, and following it once is enough."""

from __future__ import annotations

import pytest

from provisioning.cluster import Cluster
from provisioning.errors import EvidenceMissing
from provisioning.evidence import Evidence
from provisioning.evidence.redirect import parse_redirect
from provisioning.slots import key_slot
from tests.redirection.one_hop import one_hop

SEED_TABLE = {"a": 15495, "b": 3300, "c": 7365, "d": 11298, "e": 15363, "f": 3168}
"""The keys and slots that the hosts' owners check by hand."""

seed_table = pytest.mark.parametrize(("key", "slot"), SEED_TABLE.items(), ids=SEED_TABLE)


@seed_table
def test_every_wrong_node_names_the_owner(cluster: Cluster, key: str, slot: int) -> None:
    """Asked for the key, each node but the owner answers MOVED with the slot and the owner's announced address."""
    owner = cluster.owner(slot)
    wrong = [node for node in cluster.inventory.nodes if node != owner]

    answers = {node.full_name: cluster.ask(node, "EXISTS", key) for node in wrong}

    assert answers == {node.full_name: f"MOVED {slot} {owner.address}" for node in wrong}


@seed_table
def test_one_hop_is_enough(cluster: Cluster, key: str, slot: int) -> None:
    """Whichever node is asked first, the one that it names answers and redirects no further."""
    owner = cluster.owner(slot)
    for entry in cluster.inventory.nodes:
        answer, answerer = one_hop(cluster, entry, "EXISTS", key)

        assert answer in (0, 1)
        assert answerer == owner


@seed_table
def test_the_named_address_is_reached_by_every_host(
    full_evidence: Evidence, cluster: Cluster, key: str, slot: int
) -> None:
    """A TCP connect to the address in each MOVED answer succeeds from every host but the owner's own."""
    if not full_evidence.hosts:
        pytest.skip("no access to the hosts of this inventory")
    if silent := [host for host in full_evidence.hosts if host.reachable_ports is None]:
        raise EvidenceMissing(
            f"{silent[0].name} could not be looked at", observed=silent[0].not_collected["reachable_ports"]
        )
    owner = cluster.owner(slot)
    for node in cluster.inventory.nodes:
        redirect = parse_redirect(cluster.ask(node, "EXISTS", key))
        if node == owner:
            assert redirect is None
            continue
        assert redirect is not None
        reached = {host.name: (host.reachable_ports or {}).get(redirect.address) for host in full_evidence.hosts}
        reached.pop(owner.host)
        assert set(reached.values()) == {True}, reached


def test_moved_inside_multi_aborts_the_transaction(cluster: Cluster) -> None:
    """A key of another shard is refused with MOVED when queued, and EXEC then executes nothing."""
    slot = key_slot("a")
    owner = cluster.owner(slot)
    for node in cluster.inventory.masters:
        with cluster.connection(node) as connection:
            begun, queued, executed = connection.calls([("MULTI",), ("EXISTS", "a"), ("EXEC",)], raise_refusals=False)

        assert begun == "OK"
        if node == owner:
            assert (queued, executed) in (("QUEUED", [0]), ("QUEUED", [1]))
        else:
            assert str(queued) == f"MOVED {slot} {owner.address}"
            assert str(executed).startswith("EXECABORT")
