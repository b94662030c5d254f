"""What happens to such a cluster in its life: changes, upgrades, reboots, a host lost with all that it had."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fixtures.rules.judge import judge
from fixtures.rules.settled import settled
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.hosts.remote import RemoteHost
from provisioning.inventory import Node
from tests.playbook.conftest import Building, Site
from tests.playbook.ledger import is_whole, writing_steadily

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

OLD, NEW = "redis-gauntlet/redis:bookworm", "redis-gauntlet/redis:trixie"
"""Redis 7.0 and 8.0 from Debian's packages."""

MANUAL_FAILOVER_SECONDS = 5.0
"""A manual failover that has not succeeded by then is given up by the server (mf_timeout)."""


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A formed cluster of the older server, in its hosts' network."""
    made = building(OLD, NEW, redis_network_mode="host")
    formed = made.play()
    assert formed.code == 0, formed.output
    return made


def found(site: Site) -> set[str]:
    """Return what the rules find, with every host entered; all of them were decided."""
    inventory = site.inventory
    accesses = {host.name: RemoteHost(host) for host in inventory.hosts}
    seen = judge(settled(lambda: look_everywhere(inventory, accesses=accesses), inventory.node_timeout))
    assert seen.not_collected == ()
    return {each.rule for each in seen.findings}


def test_host_mode_is_accepted_too(site: Site) -> None:
    """Nodes in their hosts' network announce the LAN's addresses, and hosts are as rules want them."""
    assert found(site) == set()


def test_a_configuration_change_is_rolled_without_losing_a_write(site: Site) -> None:
    """Each node restarts once, replicas before masters; no acknowledged write is lost, no shard stalls.

    Check mode names them in that order, and restarts none.
    """
    cluster = site.cluster
    started = {node.full_name: cluster.info(node)["run_id"] for node in cluster.inventory.nodes}
    pretended = site.play("--check", redis_settings={"maxmemory-policy": "noeviction", "slowlog-max-len": "256"})
    assert pretended.code == 0, pretended.output
    assert {node.full_name: cluster.info(node)["run_id"] for node in cluster.inventory.nodes} == started
    masters = {name for name, role in cluster.roles().items() if role.startswith("master")}
    with writing_steadily(cluster) as ledgers:
        changed = site.play()
    assert changed.code == 0, changed.output
    assert pretended.rolled == changed.rolled
    assert sorted(changed.rolled) == sorted(node.full_name for node in cluster.inventory.nodes)
    assert not masters & set(changed.rolled[:3])
    values = {str(site.cluster.call(node, "CONFIG", "GET", "slowlog-max-len")[-1]) for node in cluster.inventory.nodes}
    assert values == {"256"}
    for ledger in ledgers:
        assert ledger.writes > 100
        assert is_whole(site.cluster, ledger)
        assert ledger.longest_gap < MANUAL_FAILOVER_SECONDS
    assert (again := site.play()).changed == 0, again.output


def test_the_server_is_upgraded_the_same_way_and_never_downgraded(site: Site) -> None:
    """From 7.0 to 8.0, replicas first, no write lost; the way back is refused before anything is touched."""
    before = {node.full_name: site.cluster.info(node)["redis_version"] for node in site.inventory.nodes}
    with writing_steadily(site.cluster) as ledgers:
        upgraded = site.play(redis_image=NEW)
    assert upgraded.code == 0, upgraded.output
    after = {node.full_name: site.cluster.info(node)["redis_version"] for node in site.inventory.nodes}
    assert {each[:2] for each in before.values()} == {"7."}
    assert {each[:2] for each in after.values()} == {"8."}
    for ledger in ledgers:
        assert ledger.writes > 100
        assert is_whole(site.cluster, ledger)
        assert ledger.longest_gap < MANUAL_FAILOVER_SECONDS
    started = {node.full_name: site.cluster.info(node)["run_id"] for node in site.inventory.nodes}
    refused = site.play(redis_image=OLD)
    site.variables["redis_image"] = NEW
    assert refused.code != 0
    assert "a downgrade is refused" in refused.output
    assert {node.full_name: site.cluster.info(node)["run_id"] for node in site.inventory.nodes} == started
    assert (again := site.play()).changed == 0, again.output


def test_a_rebooted_host_comes_back_by_itself(site: Site) -> None:
    """Engine and containers start, the cluster heals, every address stays."""
    cluster = site.cluster
    addresses = {entry.address for entry in cluster.view(cluster.inventory.nodes[0]).entries}
    site.hosts.reboot("redis-host-2")
    site.cluster.wait_ready(cluster.rejoin_budget + 4 * cluster.inventory.node_timeout)
    assert {entry.address for entry in site.cluster.view(cluster.inventory.nodes[0]).entries} == addresses
    assert found(site) <= {"role-differs", "masters-concentrated-on-one-host", "host-loss-not-survivable"}
    site.cluster.restore_layout()
    assert found(site) == set()


def test_a_host_made_anew_is_brought_back_without_losing_data(site: Site) -> None:
    """Its nodes come back blank, and as replicas; every key is there; a further run changes nothing."""
    cluster = site.cluster
    with writing_steadily(cluster) as ledgers:
        cluster.wait_for(lambda: all(each.writes > 20 for each in ledgers), "some writes to each shard", 30)
    lost = [node for node in cluster.inventory.nodes if node.host == "redis-host-1"]
    others = [node for node in cluster.inventory.nodes if node not in lost]
    site.hosts.hosts["redis-host-1"].signal("KILL")
    cluster.wait_for(
        lambda: all(cluster.state(node) == "ok" for node in others) and _led_elsewhere(site, others),
        "the others go on without the host",
        6 * cluster.inventory.node_timeout,
    )
    site.hosts.reinstall("redis-host-1")
    back = site.play()
    assert back.code == 0, back.output
    roles = site.cluster.roles()
    assert all(roles[node.full_name].startswith("replica of") for node in lost), roles
    for ledger in ledgers:
        assert is_whole(site.cluster, ledger)
    assert (again := site.play()).changed == 0, again.output
    assert found(site) == {"role-differs", "masters-concentrated-on-one-host", "host-loss-not-survivable"}
    site.cluster.restore_layout()
    assert found(site) == set()


def _led_elsewhere(site: Site, others: Sequence[Node]) -> bool:
    """True where every slot is owned by one of these nodes."""
    view = site.cluster.view(others[0])
    living = {(node.announced, node.port) for node in others}
    return all((entry.ip, entry.port) in living for entry in view.masters)
