"""Hosts are removed, dead or alive, and added, each by one run of the playbook under a steady writer."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fixtures.history.failover import failover_bound
from provisioning.cluster import Cluster
from provisioning.hosts.harm_claim import CHANGING
from provisioning.inventory import Node
from provisioning.planned_inventory import planned_inventory
from provisioning.slots import SLOTS
from provisioning.waiting import wait_until
from tests.playbook.ansible import Played, kill
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

WITHOUT_THE_FIRST: dict[str, dict[str, Any]] = {
    "redis-host-1": {"redis_slave_of": "redis-host-2", "redis_state": "absent"},
    "redis-host-2": {"redis_slave_of": "redis-host-3"},
    "redis-host-3": {"redis_slave_of": "redis-host-4"},
    "redis-host-4": {"redis_slave_of": "redis-host-2"},
}
"""The fourth host's replica follows whom the first one's followed."""

WITHOUT_THE_FOURTH = OF_THREE | {"redis-host-4": {"redis_slave_of": "redis-host-1", "redis_state": "absent"}}

KEYS = 500

MOVING_SECONDS = 60.0
"""Until the first slots of a new host have moved: its nodes are introduced before."""


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A cluster on four hosts, with keys in every shard, which the replicas have too."""
    made = building(wanted=planned_inventory(hosts=4, shards=4, replicas=1), redis_network_mode="host")
    made.of_hosts = OF_FOUR
    formed = made.play()
    assert formed.code == 0, formed.output
    client = made.cluster.client()
    for n in range(KEYS):
        client.set(f"key:{n}", n)
    made.cluster.wait_ready(made.cluster.rejoin_budget)
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
    assert (again := site.play()).idle, again.output


def owned(site: Site) -> dict[str, int]:
    """Return how many slots each master owns."""
    view = site.cluster.view(site.nodes[0])
    found = {site.inventory.at(entry.ip, entry.port): sum(map(len, entry.slots)) for entry in view.masters}
    return {node.full_name if node else "nobody": slots for node, slots in found.items()}


def owns_slots(cluster: Cluster, node: Node) -> bool:
    """True once the node says that it owns some; before it is started it says nothing."""
    view = cluster.views([node])[node.full_name]
    return view is not None and view.leads is not None


def assert_left(site: Site, *gone: Node) -> None:
    """The three others have all slots in equal shares and replicas as the inventory says; nobody knows who has left."""
    assert sum(owned(site).values()) == SLOTS
    assert max(owned(site).values()) - min(owned(site).values()) <= 1
    followers = {name: role for name, role in site.cluster.roles().items() if role.startswith("replica")}
    assert followers == {node.full_name: f"replica of {node.replica_of}" for node in site.inventory.replicas}
    for view in site.cluster.views().values():
        assert view is not None
        assert not {node.address for node in gone} & view.by_address.keys()


def test_a_dead_host_is_removed(site: Site, everyone: Cluster) -> None:
    """Whoever took over gives the slots to the others; that the host itself could not be entered is said."""
    gone = site.inventory.host("redis-host-4").nodes
    (led,) = [node for node in gone if node.role == "master"]
    (heir,) = [node for node in site.inventory.replicas if node.replica_of == led.full_name]
    slot = led.slots[0].first
    site.hosts.hosts["redis-host-4"].signal("KILL")
    others = [node for node in site.nodes if node not in gone]
    site.cluster.wait_owner(slot, heir, others, failover_bound(site.inventory.node_timeout))
    run, ledgers = played(site, everyone, WITHOUT_THE_FOURTH)
    assert run.rolled == []
    assert "it cannot be entered, and what it has stays there" in run.output
    assert_left(site, *gone)
    assert_nothing_lost(site, ledgers)


def test_a_host_is_added(site: Site, everyone: Cluster) -> None:
    """It gets a fourth of the slots with their keys, and its master a replica; nothing is restarted or lost.

    The run is killed while slots move: the next one goes on where it was.
    """
    site.hosts.reinstall("redis-host-4")
    before = site.run_ids()
    newcomer = "redis-host-4/redis_master"

    def while_slots_move(run: subprocess.Popen[str]) -> None:
        node = everyone.inventory.node(newcomer)
        wait_until(lambda: owns_slots(everyone, node), "slots that move", MOVING_SECONDS)
        kill(run)

    site.of_hosts = OF_FOUR
    with writing_steadily(everyone) as ledgers:
        cut = site.play(at={"TASK [Introduce new nodes": while_slots_move})
        moved = wait_until(lambda: owned(site).get(newcomer), "others that know of it", MOVING_SECONDS)
        noted = {host.read(CHANGING) for host in site.hosts.hosts.values()}
        run = site.play()
    assert cut.code == -signal.SIGKILL, cut.output
    assert 0 < moved < SLOTS // 4
    assert noted == {"moving\n"}
    assert (run.code, run.rolled) == (0, []), run.output
    after = site.run_ids()
    assert after | before == after
    assert owned(site) == {f"redis-host-{n}/redis_master": SLOTS // 4 for n in (1, 2, 3, 4)}
    followers = {name: role for name, role in site.cluster.roles().items() if role.startswith("replica")}
    assert followers == {node.full_name: f"replica of {node.replica_of}" for node in site.inventory.replicas}
    assert_nothing_lost(site, ledgers)


def test_the_first_host_is_removed_while_the_others_change(site: Site, everyone: Cluster) -> None:
    """Its slots go to the others with their keys, nobody knows its nodes any more, and its containers are gone.

    It is the one that speaks for all in a play; the nodes that stay get a new setting by the same run.
    """
    leaving = "redis-host-1"
    volumes = site.docker(leaving, "volume", "ls", "--quiet")
    gone = site.inventory.host(leaving).nodes
    site.variables["redis_settings"] = {"slowlog-max-len": "77"}
    site.of_hosts = WITHOUT_THE_FIRST
    pretended = site.play("--check")
    assert pretended.code == 0, pretended.output
    assert sorted(pretended.rolled) == sorted(node.full_name for node in site.nodes)
    run, ledgers = played(site, everyone, WITHOUT_THE_FIRST)
    assert sorted(run.rolled) == sorted(node.full_name for node in site.nodes)
    assert_left(site, *gone)
    assert site.docker(leaving, "ps", "--all", "--quiet") == ""
    assert site.docker(leaving, "volume", "ls", "--quiet") == volumes
    server = f"{site.cluster.info(site.nodes[0]).get('server_name', 'redis')}-server"
    somebodys = site.docker(
        leaving,
        *("run", "--detach", "--network=host", "--name=redis_master", site.variables["redis_image"]),
        *(server, "--port", str(gone[0].port), "--requirepass", "theirs", "--protected-mode", "no"),
    )
    assert_nothing_lost(site, ledgers)
    assert site.docker(leaving, "ps", "--quiet", "--no-trunc") == somebodys, "who has the host now keeps it"


def test_the_gate_accepts_what_is_left(site: Site, tmp_path: Path) -> None:
    """A host that is to be absent is not missed."""
    run = site.judged(tmp_path)
    assert (run.code, run.document["verdict"], run.found) == (0, "holds", set()), run.said
