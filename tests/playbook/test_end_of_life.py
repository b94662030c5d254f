"""A cluster is taken down, only by its own name; its data stays until that is asked for too, and can come back."""

from __future__ import annotations

import pytest

from tests.playbook.ansible import TEARDOWN, Played, play
from tests.playbook.conftest import Building, Site

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

KEYS = 300


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A formed cluster in its hosts' network, with keys in every shard."""
    made = building(redis_network_mode="host")
    formed = made.play()
    assert formed.code == 0, formed.output
    client = made.cluster.client()
    for n in range(KEYS):
        client.set(f"key:{n}", n)
    return made


def torn_down(site: Site, *arguments: str) -> Played:
    """Return how a run of the teardown ended; it needs no password."""
    return play(site.file, "", *arguments, playbook=TEARDOWN)


def on_hosts(site: Site) -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Return by host its containers (by id: one that was made anew is another), volumes and configuration files."""
    return {
        name: (
            set(site.docker(name, "ps", "--all", "--quiet", "--no-trunc").split()),
            set(site.docker(name, "volume", "ls", "--quiet").split()),
            set(host.sure("ls", "/opt/redis").split()),
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
    assert (again.code, again.changed) == (0, 0), again.output


def test_a_run_brings_the_same_cluster_back(site: Site) -> None:
    """Every node is who it was, and every key is there; a further run changes nothing."""
    back = site.play()
    assert back.code == 0, back.output
    assert "formed a cluster" not in back.output
    client = site.cluster.client()
    assert {int(client.get(f"key:{n}") or -1) for n in range(KEYS)} == set(range(KEYS))
    assert (again := site.play()).changed == 0, again.output


def test_asked_for_the_data_goes_too(site: Site) -> None:
    """No volume is left, a second teardown has nothing to do, and a run then forms an empty cluster."""
    everything = f"redis_confirm={site.inventory.name} redis_remove_data=true"
    old = set(site.cluster.ids().values())
    down = torn_down(site, "-e", everything)
    assert down.code == 0, down.output
    assert on_hosts(site) == {host: (set(), set(), set()) for host in site.hosts.hosts}
    again = torn_down(site, "-e", everything)
    assert (again.code, again.changed) == (0, 0), again.output
    anew = site.play()
    assert anew.code == 0, anew.output
    assert not old & set(site.cluster.ids().values())
    assert [site.cluster.call(node, "DBSIZE") for node in site.nodes] == [0] * len(site.nodes)
