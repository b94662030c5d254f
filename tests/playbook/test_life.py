"""What happens to such a cluster in its life: changes, upgrades, reboots, a host lost with all that it had."""

from __future__ import annotations

import re
import signal
import subprocess
from hashlib import sha256

import pytest

from provisioning.cluster import Cluster
from provisioning.errors import NodeUnreachable
from provisioning.hosts.remote import RemoteHost
from provisioning.inventory import Node
from provisioning.resp import Refused
from tests.playbook.ansible import kill
from tests.playbook.conftest import Building, Site, assert_listens_to_the_lan
from tests.playbook.ledger import assert_none_lost, is_whole, lost, writing_steadily

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

OLD, NEW = "redis-gauntlet/redis:bookworm", "redis-gauntlet/redis:trixie"
"""Redis 7.0 and 8.0 from Debian's packages."""

MOVED = "redis-gauntlet/redis:moved"
"""A tag that one host got before it moved from the older server to the newer one, and the others after it."""

UNSENT = 50
"""Writes of about a second: what a master may have acknowledged, and not have sent to its replica, when it dies."""

OTHER = "redis-gauntlet/redis:other"
"""An image that was made on the hosts."""


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A formed cluster of the older server, in its hosts' network."""
    made = building(OLD, NEW, redis_network_mode="host")
    formed = made.play()
    assert formed.code == 0, formed.output
    return made


def configurations(site: Site) -> dict[str, str]:
    """Return the checksum of every configuration file."""
    texts = ((node, site.hosts.hosts[node.host].read(node.config_file)) for node in site.inventory.nodes)
    return {node.full_name: sha256(text.encode()).hexdigest() for node, text in texts}


def is_unlinked(site: Site, node: Node) -> bool:
    """True for a server that answers, and has said that it cannot load what its master sends."""
    try:
        unlinked = site.cluster.info(node).get("master_link_status") == "down"
    except (NodeUnreachable, Refused):
        return False
    return unlinked and "RDB format version" in site.docker(node.host, "logs", "--tail", "100", node.name)


def config_epochs(site: Site) -> dict[str, int]:
    """Return the config epoch of every master, over connections that no restart has closed."""
    views = Cluster(site.inventory).views()
    return {name: view.leads.config_epoch for name, view in views.items() if view is not None and view.leads}


def test_host_mode_is_accepted_too(site: Site) -> None:
    """Nodes in their hosts' network announce the LAN's addresses and listen there, and hosts are as rules want them."""
    assert site.found() == set()
    for host in site.inventory.hosts:
        assert_listens_to_the_lan(RemoteHost(host))


def test_a_configuration_change_is_rolled_without_losing_a_write(site: Site) -> None:
    """Each node restarts once, replicas before masters; no acknowledged write is lost, no shard stalls.

    Check mode names them in that order, and restarts none.
    """
    cluster = site.cluster
    started = site.run_ids()
    pretended = site.play("--check", redis_settings={"maxmemory-policy": "noeviction", "slowlog-max-len": "256"})
    assert pretended.code == 0, pretended.output
    assert site.run_ids() == started
    masters = {node.full_name for node in cluster.masters()}
    before = config_epochs(site)
    with writing_steadily(cluster) as ledgers:
        changed = site.play()
    assert changed.code == 0, changed.output
    assert pretended.rolled == changed.rolled
    assert sorted(changed.rolled) == sorted(node.full_name for node in cluster.inventory.nodes)
    assert not masters & set(changed.rolled[:3])
    # A restart changes no epoch: a replica took over from each, and gave the place back.
    after = config_epochs(site)
    assert before.keys() == after.keys()
    assert all(after[name] > epoch for name, epoch in before.items()), (before, after)
    values = {str(site.cluster.call(node, "CONFIG", "GET", "slowlog-max-len")[-1]) for node in cluster.inventory.nodes}
    assert values == {"256"}
    assert_none_lost(site.cluster, ledgers)
    assert (again := site.play()).idle, again.output


def test_hosts_with_different_servers_under_one_tag_are_refused(site: Site) -> None:
    """The versions are named by host, and nothing is touched."""
    early, *late = (host.name for host in site.inventory.hosts)
    files, started = configurations(site), site.run_ids()
    for host in (early, *late):
        site.docker(host, "tag", OLD if host == early else NEW, MOVED)
    refused = site.play(redis_image=MOVED)
    site.variables["redis_image"] = OLD
    for host in (early, *late):
        site.docker(host, "rmi", MOVED)
    assert refused.code != 0
    assert "the image is not the same one on every host" in refused.output
    assert re.search(f"7[0-9.]+ on {early}, 8[0-9.]+ on {late[0]}, 8[0-9.]+ on {late[1]}", refused.output)
    assert (configurations(site), site.run_ids()) == (files, started)
    assert (again := site.play()).idle, again.output


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("rm $(command -v redis-server)", f"the image {OTHER} holds no server"),
        ("ln -s $(command -v redis-server) /usr/bin/valkey-server", "the image has valkey, another project's server"),
    ],
)
def test_an_image_with_another_server_or_none_is_refused(site: Site, change: str, says: str) -> None:
    """Valkey's official image has its server under both names. Nothing is touched."""
    files, started = configurations(site), site.run_ids()
    for host in site.inventory.hosts:
        site.docker(host.name, "run", "--name=other", "--user=0", "--entrypoint=sh", OLD, "-c", change)
        site.docker(host.name, "commit", "other", OTHER)
        site.docker(host.name, "rm", "other")
    refused = site.play(redis_image=OTHER)
    site.variables["redis_image"] = OLD
    for host in site.inventory.hosts:
        site.docker(host.name, "rmi", OTHER)
    assert refused.code != 0
    assert says in refused.output
    assert (configurations(site), site.run_ids()) == (files, started)
    assert (again := site.play()).idle, again.output


def test_the_server_is_upgraded_the_same_way_and_never_downgraded(site: Site) -> None:
    """From 7.0 to 8.0, replicas first, no write lost; the way back is refused before anything is touched.

    The run is killed once the first master has stepped down, whose server then crashes: it starts with the older
    version again, and cannot load what its successor sends. The next run goes on with it.
    """
    before = {node.full_name: site.cluster.info(node)["redis_version"] for node in site.inventory.nodes}
    masters = [node.full_name for node in site.inventory.nodes if node in site.cluster.masters()]
    stepped_down, crashed = site.node(masters[0]), list[str]()

    def crash(run: subprocess.Popen[str]) -> None:
        kill(run)
        process = site.docker(stepped_down.host, "inspect", "--format", "{{.State.Pid}}", stepped_down.name).strip()
        site.hosts.hosts[stepped_down.host].sure("kill", "-9", process)
        site.wait_quiet()
        site.cluster.wait_for(lambda: is_unlinked(site, stepped_down), "a copy that fails", 60.0)
        crashed.append(site.cluster.info(stepped_down)["redis_version"])

    with writing_steadily(site.cluster) as ledgers:
        cut = site.play(at={f"TASK [redis : Change {stepped_down.full_name}]": crash}, redis_image=NEW)
        upgraded = site.play()
    assert cut.code == -signal.SIGKILL, cut.output
    assert upgraded.code == 0, upgraded.output
    after = {node.full_name: site.cluster.info(node)["redis_version"] for node in site.inventory.nodes}
    assert not set(masters) & set(cut.rolled[:3])
    assert crashed[0].startswith("7.")
    assert upgraded.rolled[:3] == masters
    assert {each[:2] for each in before.values()} == {"7."}
    assert {each[:2] for each in after.values()} == {"8."}
    assert_none_lost(site.cluster, ledgers)
    started = site.run_ids()
    pretended = site.play("--check", redis_image="redis:0.0.1")
    assert (pretended.code, len(pretended.rolled)) == (0, len(site.nodes)), pretended.output
    assert "redis:0.0.1 is not on this host yet" in pretended.output
    down = site.inventory.replicas[0]
    files = configurations(site)
    site.docker(down.host, "stop", down.name)
    refused = site.play(redis_image=OLD)
    site.docker(down.host, "start", down.name)
    site.variables["redis_image"] = NEW
    assert refused.code != 0
    assert "a downgrade is refused" in refused.output
    assert configurations(site) == files
    assert {name for name, run in site.run_ids().items() if run != started[name]} == {down.full_name}
    assert (again := site.play()).idle, again.output


def test_a_rebooted_host_comes_back_by_itself(site: Site) -> None:
    """Engine and containers start, the cluster heals, every address stays."""
    cluster = site.cluster
    addresses = {entry.address for entry in cluster.view(cluster.inventory.nodes[0]).entries}
    before = site.run_ids()
    site.hosts.reboot("redis-host-2")
    site.cluster.wait_ready(cluster.rejoin_budget + 4 * cluster.inventory.node_timeout)
    assert {entry.address for entry in site.cluster.view(cluster.inventory.nodes[0]).entries} == addresses
    rebooted = {node.full_name for node in site.inventory.host("redis-host-2").nodes}
    assert {name for name, run in site.run_ids().items() if run != before[name]} == rebooted
    assert site.found() <= {"role-differs", "masters-concentrated-on-one-host", "host-loss-not-survivable"}
    site.cluster.restore_layout()
    assert site.found() == set()


def test_a_host_made_anew_is_brought_back_without_losing_data(site: Site) -> None:
    """Its nodes come back blank, and as replicas; no write is lost in between; a further run changes nothing.

    It is made anew at once: the playbook waits for the failover before it starts a master without its data.
    """
    cluster = site.cluster
    blank = [node for node in cluster.inventory.nodes if node.host == "redis-host-1"]
    first = {shard.master.slots[0].first for shard in cluster.inventory.shards if shard.master in blank}
    with writing_steadily(cluster) as before:
        cluster.wait_for(lambda: all(each.writes > 20 for each in before), "writes", cluster.rejoin_budget)
        cluster.wait_for(lambda: cluster.caught_up(_replica(cluster), blank[0]), "a copy", cluster.rejoin_budget)
    with writing_steadily(cluster) as ledgers:
        site.hosts.hosts["redis-host-1"].signal("KILL")
        site.hosts.reinstall("redis-host-1")
        back = site.play()
    assert back.code == 0, back.output
    assert all(is_whole(site.cluster, each) for each in before)
    roles = site.cluster.roles()
    assert all(roles[node.full_name].startswith("replica of") for node in blank), roles
    for ledger in ledgers:
        # What the dead master acknowledged and had not sent yet is lost with it, as documented: not more than that.
        last = ledger.acknowledged[max(0, ledger.before_gap - UNSENT) : ledger.before_gap]
        assert lost(site.cluster, ledger) <= (set(last) if ledger.slot in first else set())
    assert (again := site.play()).idle, again.output
    assert site.found() == {"role-differs", "masters-concentrated-on-one-host", "host-loss-not-survivable"}
    site.cluster.restore_layout()
    assert site.found() == set()


def _replica(cluster: Cluster) -> Node:
    """Return the replica of host 1's master."""
    return next(node for node in cluster.inventory.replicas if node.replica_of == "redis-host-1/redis_master")
