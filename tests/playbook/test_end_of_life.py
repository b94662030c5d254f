"""A cluster is taken down, only by its own name; its data stays until that is asked for too, and can come back."""

from __future__ import annotations

import re

import pytest

from provisioning.inventory import Node
from tests.playbook.ansible import TEARDOWN, Played, play
from tests.playbook.conftest import Building, Site

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

KEYS = 300


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A formed cluster in its hosts' network, with keys in every shard.

    The servers of the first host have left an append-only file behind, which is older than the keys; those of the
    last one write theirs, and their configurations say so.
    """
    made = building(redis_network_mode="host", redis_node_timeout=2000, redis_appendonly=False)
    formed = made.play()
    assert formed.code == 0, formed.output
    for node in made.inventory.host("redis-host-1").nodes:
        append_only(made, node)
        assert made.cluster.call(node, "CONFIG", "SET", "appendonly", "no") == "OK"
    client = made.cluster.client()
    for n in range(KEYS):
        client.set(f"key:{n}", n)
    for node in made.inventory.host("redis-host-3").nodes:
        append_only(made, node)
        made.hosts.hosts[node.host].sure("sed", "-i", "s/^appendonly no/appendonly yes/", node.config_file)
    return made


def append_only(site: Site, node: Node) -> None:
    """Let a server write an append-only file, and wait until that is whole."""
    assert site.cluster.call(node, "CONFIG", "SET", "appendonly", "yes") == "OK"

    def is_whole() -> bool:
        info = site.cluster.info(node)
        return info["aof_rewrite_in_progress"] == info["aof_rewrite_scheduled"] == "0"

    site.cluster.wait_for(is_whole, f"an append-only file of {node.full_name}", 60.0)


def data(site: Site, node: Node) -> str:
    """Return where on its host the node has its data."""
    return site.docker(node.host, "volume", "inspect", "--format={{.Mountpoint}}", f"{node.name}-data").strip()


def torn_down(site: Site, *arguments: str) -> Played:
    """Return how a run of the teardown ended; it needs no password."""
    return play(site.file, "", *arguments, playbook=TEARDOWN)


def on_hosts(site: Site) -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Return by host its containers (by id: one that was made anew is another), volumes and configuration files."""
    return {
        name: (
            set(site.docker(name, "ps", "--all", "--quiet", "--no-trunc").split()),
            set(site.docker(name, "volume", "ls", "--quiet").split()),
            set(host.sure("ls", "--almost-all", "/opt/redis").split()),
        )
        for name, host in site.hosts.hosts.items()
    }


def test_without_its_name_nothing_is_touched(site: Site) -> None:
    """Neither a missing nor another cluster's name takes it down; the message says what to add."""
    before, started = on_hosts(site), site.run_ids()
    for arguments in ((), ("-e", "redis_confirm=another"), ("-e", "redis_confirm=another redis_remove_data=true")):
        refused = torn_down(site, *arguments)
        assert refused.code != 0, refused.output
        assert f"-e redis_confirm={site.inventory.name}" in refused.output
        assert refused.changed == 0, refused.output
    assert on_hosts(site) == before
    assert site.run_ids() == started


def test_its_name_takes_it_down_and_leaves_the_data(site: Site) -> None:
    """Containers and configurations are gone, volumes stay; a second teardown has nothing to do."""
    before, named = on_hosts(site), f"redis_confirm={site.inventory.name}"
    pretended = torn_down(site, "-e", named, "--check")
    assert (pretended.code, on_hosts(site)) == (0, before), pretended.output
    assert pretended.changed > 0
    down = torn_down(site, "-e", named)
    assert down.code == 0, down.output
    assert on_hosts(site) == {host: (set(), volumes, set()) for host, (_, volumes, _) in before.items()}
    assert all(f"{node.name}-data" in before[node.host][1] for node in site.nodes)
    again = torn_down(site, "-e", named)
    assert again.idle, again.output


def assert_every_key_is_there(site: Site) -> None:
    client = site.cluster.client()
    assert {int(client.get(f"key:{n}") or -1) for n in range(KEYS)} == set(range(KEYS))


def test_data_that_the_servers_would_not_read_is_not_given_up(site: Site) -> None:
    """With an append-only file a server reads that alone, also an old one; without, it reads the snapshot alone."""
    assert torn_down(site, "-e", f"redis_confirm={site.inventory.name}").code == 0
    host, last = site.hosts.hosts["redis-host-3"], site.inventory.host("redis-host-3").nodes
    for node in last:  # as where the server was killed, and has written no snapshot at its end
        assert host.sure("cat", f"{data(site, node)}/.appendonly") == "yes\n"
        host.sure("sh", "-c", f"touch {data(site, node)}/appendonlydir/*")
    for wanted, kept in ((True, [node for node in site.nodes if node not in last]), (False, last)):
        refused = site.play(redis_appendonly=wanted)
        assert refused.code != 0
        said = " ".join(refused.output.split())
        named = re.findall(r"Action failed: (\S+), (\S+) would begin without the data that is there", said)
        assert {name for pair in named for name in pair} == {node.full_name for node in kept}, refused.output
        assert f"what to do: run this once with redis_appendonly: {str(not wanted).lower()}, then" in said
        assert all(containers == set() for containers, _, _ in on_hosts(site).values())
    for node in last:  # so it is as where the server was stopped
        host.sure("touch", f"{data(site, node)}/dump.rdb")


def test_a_run_brings_the_same_cluster_back(site: Site) -> None:
    """Every node is who it was, and every key is there; a further run changes nothing."""
    back = site.play()
    assert back.code == 0, back.output
    assert "formed a cluster" not in back.output
    assert_every_key_is_there(site)
    assert (again := site.play()).idle, again.output


def test_what_cannot_be_entered_is_left_and_named(site: Site) -> None:
    """The other hosts are taken down all the same."""
    before = on_hosts(site)
    site.hosts.shut_out("redis-host-3")
    down = torn_down(site, "-e", f"redis_confirm={site.inventory.name}")
    site.hosts.let_in("redis-host-3")
    assert down.code != 0
    assert "this host could not be entered, and what it has stays there" in down.output
    left = {name: there for name, (there, _, _) in on_hosts(site).items()}
    assert left == {name: there if name == "redis-host-3" else set() for name, (there, _, _) in before.items()}


def test_a_host_that_lost_its_data_while_all_were_down_copies_it(site: Site) -> None:
    """Its master's replica has that, and leads before the blank one is started: it would copy the emptiness."""
    nodes = site.inventory.host("redis-host-1").nodes
    site.docker("redis-host-1", "volume", "rm", *(f"{node.name}-data" for node in nodes))
    for name, (there, _, _) in on_hosts(site).items():
        if there:
            site.docker(name, "stop", *there)
    back = site.play()
    assert back.code == 0, back.output
    assert_every_key_is_there(site)
    roles = site.cluster.roles()
    assert all(roles[node.full_name].startswith("replica of") for node in nodes), roles
    assert (again := site.play()).idle, again.output


def test_asked_for_the_data_goes_too(site: Site) -> None:
    """No volume is left; a second teardown has nothing to do, on a host without Docker too; a run forms anew."""
    everything = f"redis_confirm={site.inventory.name} redis_remove_data=true"
    old = set(site.cluster.ids().values())
    down = torn_down(site, "-e", everything)
    assert down.code == 0, down.output
    assert on_hosts(site) == {host: (set(), set(), set()) for host in site.hosts.hosts}
    site.hosts.hosts["redis-host-1"].sure("mv", "/usr/bin/docker", "/usr/bin/docker.away")
    again = torn_down(site, "-e", everything)
    site.hosts.hosts["redis-host-1"].sure("mv", "/usr/bin/docker.away", "/usr/bin/docker")
    assert again.idle, again.output
    anew = site.play()
    assert anew.code == 0, anew.output
    assert not old & set(site.cluster.ids().values())
    assert [site.cluster.call(node, "DBSIZE") for node in site.nodes] == [0] * len(site.nodes)
