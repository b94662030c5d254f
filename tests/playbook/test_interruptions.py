"""A run that is cut short, or loses a host in the middle, harms nothing and is finished by the next one.

All of it as a user who becomes root by sudo, and with published ports.
"""

from __future__ import annotations

import signal
import subprocess

import pytest

from provisioning.hosts.harm_claim import CHANGING
from tests.playbook.ansible import kill
from tests.playbook.conftest import Building, Site, run_ids
from tests.playbook.ledger import assert_none_lost, writing_steadily

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

USER = "deploy"

"""Stands on every host while nodes are changed one at a time."""

SETTING = "slowlog-max-len"


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """Hosts with Docker, and nothing of ours on them yet."""
    made = building(redis_network_mode="published", ansible_user=USER, ansible_become=True)
    made.admit(USER)
    return made


def is_changing(site: Site) -> bool:
    marked = {host.run("test", "-e", CHANGING).code == 0 for host in site.hosts.hosts.values()}
    assert len(marked) == 1
    return marked.pop()


def settings(site: Site) -> list[str]:
    """Return what the nodes have for SETTING, in the inventory's order."""
    return [str(site.cluster.call(node, "CONFIG", "GET", SETTING)[-1]) for node in site.nodes]


def test_check_mode_foresees_a_cluster_on_hosts_with_docker(site: Site) -> None:
    """Nothing is made, and what would be is counted."""
    pretended = site.play("--check")
    assert pretended.code == 0, pretended.output
    assert pretended.changed > 0
    for name, host in site.hosts.hosts.items():
        assert not site.docker(name, "ps", "--all", "--quiet").strip()
        assert not site.docker(name, "volume", "ls", "--quiet").strip()
        assert host.run("ls", "/opt/redis").code != 0


def test_a_foreign_server_at_a_nodes_address_is_left_alone(site: Site) -> None:
    """What answers there and is not the node's container is named, and nothing is made."""
    node = site.node("redis-host-2/redis_master")
    command = ("redis-server", "--protected-mode", "no")
    published = ("--name", "other", "--publish", f"{node.lan}:{node.port}:6379")
    site.docker(node.host, "run", "--detach", *published, site.variables["redis_image"], *command)
    try:
        run = site.play()
        there = {name: site.docker(name, "ps", "--all", "--format", "{{.Names}}").split() for name in site.hosts.hosts}
    finally:
        site.docker(node.host, "rm", "--force", "other")
    assert run.code != 0
    assert f"something else than container redis_master answers at {node.address}" in run.output
    assert there == {name: ["other"] * (name == node.host) for name in site.hosts.hosts}


def test_a_formation_that_is_killed_is_finished(site: Site) -> None:
    """Killed once nodes have met: the next run makes the wanted cluster of them.

    No cluster bus reaches one host until then, so that the first run cannot end before it is killed.
    """
    host = site.hosts.hosts["redis-host-3"]
    buses = ",".join(str(node.bus_port) for node in site.inventory.host("redis-host-3").nodes)
    cut_off = ("DOCKER-USER", "-p", "tcp", "-m", "multiport", "--dports", buses, "-j", "DROP")

    def met(run: subprocess.Popen[str]) -> None:
        nodes = site.nodes
        site.cluster.wait_for(
            lambda: any(view is not None and len(view.entries) > 1 for view in site.cluster.views(nodes).values()),
            "nodes that know each other",
            60.0,
        )
        kill(run)

    # Made, and never started, as one is whose ports were taken: the next run makes it anew.
    site.docker("redis-host-1", "create", "--name", "redis_slave", site.variables["redis_image"], "redis-server")
    host.sure("iptables", "--insert", *cut_off)
    try:
        cut = site.play(at={"TASK [Introduce new nodes": met})
    finally:
        host.sure("iptables", "--delete", *cut_off)
    assert cut.code == -signal.SIGKILL, cut.output
    assert site.cluster.roles() != site.cluster.wanted_roles
    whole = site.play()
    assert whole.code == 0, whole.output
    assert site.cluster.roles() == site.cluster.wanted_roles


def test_a_setting_with_which_no_server_starts_is_corrected(site: Site) -> None:
    """It takes down one replica and no other node; with the setting corrected the next run goes on."""
    first = site.inventory.replicas[0]
    before = site.run_ids()
    wrong = site.play(redis_settings={SETTING: "many"})
    assert wrong.code != 0
    assert wrong.rolled == [first.full_name], wrong.output
    assert f"no answer from {first.full_name}" in wrong.output
    assert run_ids(site.cluster, but=first) == {name: run for name, run in before.items() if name != first.full_name}
    corrected = site.play(redis_settings={SETTING: "99"})
    assert corrected.code == 0, corrected.output
    assert settings(site) == ["99"] * len(site.nodes)
    assert site.cluster.roles() == site.cluster.wanted_roles
    assert (again := site.play()).idle, again.output


def test_a_change_that_is_cut_twice_is_finished(site: Site) -> None:
    """Once by SIGKILL, with a node in the hands of Docker, once by a host that SSH does not reach any more.

    No write is lost and no shard stalls, the masters are where they were, and every node has the new setting.
    """
    order = [
        *(node.full_name for node in site.inventory.replicas),
        *(node.full_name for node in site.inventory.masters),
    ]
    old = settings(site)
    cluster = site.cluster

    def killed(run: subprocess.Popen[str]) -> None:
        node = site.node(order[1])
        cluster.wait_for(lambda: cluster.views([node])[node.full_name] is None, f"{order[1]} stops", 60.0)
        kill(run)

    def unreachable(run: subprocess.Popen[str]) -> None:
        site.hosts.shut_out("redis-host-2")

    with writing_steadily(site.cluster) as ledgers:
        first = site.play(at={f"TASK [redis : Change {order[1]}]": killed}, redis_settings={SETTING: "77"})
        assert first.code == -signal.SIGKILL, first.output
        assert is_changing(site)
        site.wait_quiet()
        second = site.play(at={f"TASK [redis : Change {order[3]}]": unreachable})
        assert second.code > 0, second.output
        assert "UNREACHABLE" in second.output
        assert is_changing(site)
        site.hosts.let_in("redis-host-2")
        site.wait_quiet()
        last = site.play()
    assert last.code == 0, last.output
    assert settings(site) == ["77"] * len(old) != old
    assert order[0] not in second.rolled
    assert not set(order[:4]) & set(last.rolled)
    assert not is_changing(site)
    assert_none_lost(site.cluster, ledgers)
    assert site.cluster.roles() == site.cluster.wanted_roles
    assert (again := site.play()).idle, again.output


def test_a_file_that_was_changed_by_hand_is_written_again(site: Site) -> None:
    """Its node alone is restarted, as whoever changed it meant it to have what it had not."""
    node = site.nodes[0]
    host = site.hosts.hosts[node.host]
    host.sure("sh", "-c", f"echo 'maxclients 77' >> {node.config_file}")
    before = site.run_ids()
    run = site.play()
    assert (run.code, run.rolled) == (0, [node.full_name]), run.output
    assert "maxclients" not in host.read(node.config_file)
    assert {name for name, run_id in site.run_ids().items() if run_id != before[name]} == {node.full_name}
    assert site.cluster.roles() == site.cluster.wanted_roles


def test_a_rebooted_host_comes_back_with_its_published_ports(site: Site) -> None:
    """Engine and containers start by themselves, every address stays, and nothing is found in the old layout.

    Ports can be published before the host has its address.
    """
    cluster = site.cluster
    addresses = {entry.address for entry in cluster.view(cluster.inventory.nodes[0]).entries}
    before = site.run_ids()
    site.hosts.reboot("redis-host-3")
    cluster.wait_ready(cluster.rejoin_budget + 4 * cluster.inventory.node_timeout)
    assert {entry.address for entry in cluster.view(cluster.inventory.nodes[0]).entries} == addresses
    assert site.hosts.hosts["redis-host-3"].sure("cat", "/proc/sys/net/ipv4/ip_nonlocal_bind").strip() == "1"
    rebooted = {node.full_name for node in site.inventory.host("redis-host-3").nodes}
    assert {name for name, run in site.run_ids().items() if run != before[name]} == rebooted
    cluster.restore_layout()
    assert site.found() == set()
