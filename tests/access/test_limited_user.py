"""A look with a user of few rights says which commands were refused, and shows all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from provisioning.cluster import Cluster
from provisioning.errors import NodeUnreachable
from provisioning.evidence.collect import EVERYTHING, collect, require_answers
from provisioning.inventory import Inventory

USER, PASSWORD = "gauntlet-probe", "few-rights"


@pytest.fixture
def cluster_with_user(writable_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster on which that user may be made; it is gone afterwards."""
    yield writable_cluster
    for node in writable_cluster.inventory.nodes:
        writable_cluster.call(node, "ACL", "DELUSER", USER)


def as_user(cluster: Cluster, *rights: str) -> Inventory:
    """Make the user with these rights on every node, and return the inventory with its login."""
    nodes = cluster.inventory.nodes
    for node in nodes:
        assert cluster.call(node, "ACL", "SETUSER", USER, "reset", "on", f">{PASSWORD}", "~*", *rights) == "OK"
    return cluster.inventory.with_nodes({node.full_name: replace(node, user=USER, password=PASSWORD) for node in nodes})


def test_refused_commands_are_named(cluster_with_user: Cluster) -> None:
    """What may not be asked is missing with the server's reason and the command's name; nothing else is missing."""
    seen = collect(as_user(cluster_with_user, "+@all", "-config", "-info"))
    refused = {field for field, words in EVERYTHING.items() if words[0] in ("CONFIG", "INFO")}
    assert len(refused) == 2
    for node in seen.nodes:
        assert not node.unreachable
        assert set(node.not_collected) == refused
        for field, why in node.not_collected.items():
            assert why.startswith("NOPERM")
            assert EVERYTHING[field][0].lower() in why
            assert PASSWORD not in why
        assert node.view is not None


def test_a_user_without_rights_is_one_message(cluster_with_user: Cluster) -> None:
    """Who may log in and nothing else sees nothing to judge: the message says which command was refused."""
    inventory = as_user(cluster_with_user, "-@all")
    with pytest.raises(NodeUnreachable, match="lets us in") as caught:
        require_answers(inventory)
    assert "NOPERM" in caught.value.observed
    assert "time" in caught.value.observed
    assert PASSWORD not in str(caught.value)
