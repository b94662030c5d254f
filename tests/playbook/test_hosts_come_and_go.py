"""A host is added to a cluster that works, and removed again, each by one run of the playbook under a steady writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioning.cluster import Cluster
from provisioning.planned_inventory import planned_inventory
from provisioning.slots import SLOTS
from tests.launched import launched
from tests.playbook.ansible import Played
from tests.playbook.conftest import Building, Site
from tests.playbook.ledger import Ledger, assert_none_lost, writing_steadily

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

OF_THREE: dict[str, dict[str, Any]] = {
    "redis-host-1": {"redis_slave_of": "redis-host-2"},
    "redis-host-2": {"redis_slave_of": "redis-host-3"},
    "redis-host-3": {"redis_slave_of": "redis-host-1"},
}
OF_FOUR = OF_THREE | {
    "redis-host-3": {"redis_slave_of": "redis-host-4"},
    "redis-host-4": {"redis_slave_of": "redis-host-1"},
}
"""With the fourth host another replica follows its master, and its own follows whom that one followed."""

WITHOUT_THE_FOURTH = OF_THREE | {"redis-host-4": {"redis_slave_of": "redis-host-1", "redis_state": "absent"}}

KEYS = 500


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """Four hosts, and a cluster on three of them, with keys in every shard."""
    made = building(wanted=planned_inventory(hosts=4, shards=4, replicas=1), redis_network_mode="host")
    made.of_hosts = OF_THREE
    formed = made.play()
    assert formed.code == 0, formed.output
    client = made.cluster.client()
    for n in range(KEYS):
        client.set(f"key:{n}", n)
    return made


@pytest.fixture(scope="module")
def everyone(site: Site) -> Cluster:
    """The nodes of all four hosts, members or not: whom a client may be sent to."""
    now, site.of_hosts = site.of_hosts, OF_FOUR
    found = site.cluster
    site.of_hosts = now
    return found


def played(site: Site, everyone: Cluster, of_hosts: dict[str, dict[str, Any]]) -> tuple[Played, list[Ledger]]:
    """Run the playbook with another inventory under a steady writer; say how it ended and what was written."""
    site.of_hosts = of_hosts
    with writing_steadily(everyone) as ledgers:
        run = site.play()
    assert run.code == 0, run.output
    return run, ledgers


def lost(site: Site) -> set[int]:
    """Return which of the first keys are not there any more."""
    client = site.cluster.client()
    return set(range(KEYS)) - {int(client.get(f"key:{n}") or -1) for n in range(KEYS)}


def assert_nothing_lost(site: Site, ledgers: list[Ledger]) -> None:
    """Every acknowledged write and every first key is there, no shard stalled, and a further run changes nothing."""
    assert_none_lost(site.cluster, ledgers)
    assert lost(site) == set()
    assert (again := site.play()).changed == 0, again.output


def owned(site: Site) -> dict[str, int]:
    """Return how many slots each master owns."""
    view = site.cluster.view(site.nodes[0])
    found = {site.inventory.at(entry.ip, entry.port): sum(map(len, entry.slots)) for entry in view.masters}
    return {node.full_name if node else "nobody": slots for node, slots in found.items()}


def test_a_host_is_added(site: Site, everyone: Cluster) -> None:
    """It gets a fourth of the slots with their keys, and its master a replica; nothing is restarted or lost."""
    before = site.run_ids()
    run, ledgers = played(site, everyone, OF_FOUR)
    assert run.rolled == []
    after = site.run_ids()
    assert after | before == after
    assert owned(site) == {f"redis-host-{n}/redis_master": SLOTS // 4 for n in (1, 2, 3, 4)}
    followers = {name: role for name, role in site.cluster.roles().items() if role.startswith("replica")}
    assert followers == {node.full_name: f"replica of {node.replica_of}" for node in site.inventory.replicas}
    assert_nothing_lost(site, ledgers)


def test_the_host_is_removed(site: Site, everyone: Cluster) -> None:
    """Its slots go to the others with their keys, nobody knows its nodes any more, and its containers are gone."""
    volumes = site.docker("redis-host-4", "volume", "ls", "--quiet")
    gone = site.inventory.host("redis-host-4").nodes
    run, ledgers = played(site, everyone, WITHOUT_THE_FOURTH)
    assert run.rolled == []
    assert sum(owned(site).values()) == SLOTS
    assert max(owned(site).values()) - min(owned(site).values()) <= 1
    followers = {name: role for name, role in site.cluster.roles().items() if role.startswith("replica")}
    assert followers == {node.full_name: f"replica of {node.replica_of}" for node in site.inventory.replicas}
    for view in site.cluster.views().values():
        assert view is not None
        assert not {node.address for node in gone} & view.by_address.keys()
    assert site.docker("redis-host-4", "ps", "--all", "--quiet") == ""
    assert site.docker("redis-host-4", "volume", "ls", "--quiet") == volumes
    assert_nothing_lost(site, ledgers)


def test_the_gate_accepts_what_is_left(site: Site, tmp_path: Path) -> None:
    """A host that is to be absent is not missed."""
    login = {"REDIS_GAUNTLET_PASSWORD": site.password}
    run = launched(tmp_path, "--inventory", site.file, "-m", "not destructive", environment=login)
    assert (run.code, run.document["verdict"], run.found) == (0, "holds", set()), run.said
