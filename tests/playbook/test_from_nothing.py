"""One run makes a cluster of bare hosts, with published ports; a further one changes what differs and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.simulated import File
from tests.playbook.ansible import Played
from tests.playbook.conftest import NEWCOMER, Building, Site, assert_listens_to_the_lan

pytestmark = [pytest.mark.destructive, pytest.mark.slow]


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """Hosts as they come: on one of them there is no Docker."""
    return building(without_engine=(NEWCOMER,), redis_network_mode="published")


@pytest.fixture(scope="module")
def pretended(site: Site) -> Played:
    """A run in check mode on the bare hosts."""
    return site.play("--check")


USERNS = """\
#!/bin/sh
if [ "$1" = info ]; then echo 'engine true inactive'; echo 'security [name=seccomp name=userns]'; exit; fi
exec /usr/bin/docker "$@"
"""
"""A docker command that goes before the real one, and tells of an engine with userns-remap."""

SERVING = """\
import socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind('/run/docker.sock')
listener.listen()
time.sleep(300)
"""
SERVES = "until grep -q /run/docker.sock /proc/net/unix; do :; done"


def test_another_engine_is_kept(site: Site, pretended: Played) -> None:
    """Docker is not put beside it, and one in whose containers files of the host have other owners is refused."""
    first, bare = site.hosts.hosts["redis-host-1"], site.hosts.hosts[NEWCOMER]
    bare.sure("systemd-run", "--unit=other-engine", "python3", "-c", SERVING)
    bare.sure("timeout", "10", "sh", "-c", SERVES)
    refused = site.play()
    bare.sure("systemctl", "stop", "other-engine")  # its socket stays, as where Docker has been purged
    assert "there is another engine where Docker would be installed" in refused.output
    first.put([File("/usr/local/bin/docker", USERNS, mode=0o755)])
    remapped = site.play()
    first.sure("rm", "/usr/local/bin/docker")
    assert "the engine gives its containers other user ids" in remapped.output
    assert not site.docker("redis-host-1", "ps", "--all", "--quiet").strip()


@pytest.fixture(scope="module")
def formed(site: Site, pretended: Played) -> Played:
    """The first run."""
    return site.play()


@pytest.fixture(params=["redis-host-1", "redis-host-2", "redis-host-3"])
def entered(request: pytest.FixtureRequest, site: Site, formed: Played) -> RemoteHost:
    """A host as its user enters it."""
    return RemoteHost(site.inventory.host(request.param))


def test_check_mode_changes_nothing_on_bare_hosts(site: Site, pretended: Played) -> None:
    """It ends well before anything is there, says what would be done, and does nothing of it."""
    assert pretended.code == 0, pretended.output
    assert pretended.recap[NEWCOMER]["changed"] > 0
    assert site.hosts.hosts[NEWCOMER].run("docker", "version").code != 0
    assert not site.docker("redis-host-1", "ps", "--all", "--quiet").strip()


def test_one_run_forms_the_cluster(site: Site, formed: Played) -> None:
    """Bare hosts become the inventory's cluster, each replica on another host than its master."""
    assert formed.code == 0, formed.output
    assert site.cluster.roles() == site.cluster.wanted_roles


def test_second_run_changes_nothing(site: Site, formed: Played) -> None:
    """What is as it should be is left alone, in check mode and without."""
    for arguments in (("--check",), ()):
        again = site.play(*arguments)
        assert again.idle, again.output


def test_the_gate_accepts_it_over_ssh(site: Site, formed: Played, tmp_path: Path) -> None:
    """All rules, those about hosts and engines too, find nothing at all."""
    run = site.judged(tmp_path)
    assert (run.code, run.document["verdict"], run.found) == (0, "holds", set()), run.said
    assert not run.of_kind("skipped") & {"restart-policy", "image-unpinned", "service-not-enabled", "overcommit-memory"}
    assert run.holding(site.password) == []


def test_the_password_stands_in_no_output(site: Site, pretended: Played, formed: Played) -> None:
    """Neither Ansible's output nor a host's process list and logs show it."""
    assert site.password not in pretended.output + formed.output
    for host in site.hosts.hosts.values():
        assert site.password not in host.sure("ps", "-ww", "-eo", "args")
        journal = host.sure("journalctl", "--no-pager")
        assert "ansible" in journal
        assert site.password not in journal


def test_packages_and_services(entered: RemoteHost) -> None:
    """Docker is the distribution's, runs, and starts at boot; what the original installed by pip is not there."""
    host = entered.testinfra
    assert host.package("docker.io").is_installed
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled
    assert not host.package("python3-pip").is_installed
    assert host.group("docker").members == []


def test_configuration_files(entered: RemoteHost) -> None:
    """The server may read them, root too, and nobody else: on the host its group may be one that people are in."""
    host = entered.testinfra
    for node in entered.host.nodes:
        file = host.file(node.config_file)
        assert (file.uid, file.group, file.mode) == (999, "root", 0o400)
        assert f"cluster-announce-ip {node.announced}" in file.content_string
    directory = host.file("/opt/redis")
    assert (directory.is_directory, directory.user, directory.group, directory.mode) == (True, "root", "root", 0o711)


def test_containers(site: Site, entered: RemoteHost) -> None:
    """They run the pinned image, come back after a reboot, keep data on named volumes and may stop slowly."""
    host = entered.testinfra
    for node in entered.host.nodes:
        container = host.docker(node.name)
        assert container.is_running
        shown = container.inspect()
        assert shown["Config"]["Image"] == site.variables["redis_image"]
        assert shown["Config"]["StopTimeout"] == 60
        assert shown["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        mounts = {(each.get("Name", each["Source"]), each["Destination"], each["RW"]) for each in shown["Mounts"]}
        assert mounts == {(f"{node.name}-data", "/data", True), ("/opt/redis", "/opt/redis", False)}
        assert shown["HostConfig"]["LogConfig"] == {
            "Type": "json-file",
            "Config": {"max-size": "10m", "max-file": "3"},
        }
    assert host.check_output("docker info --format '{{.LiveRestoreEnabled}}'") == "true"


def test_nothing_listens_to_the_world(entered: RemoteHost) -> None:
    """Client and bus ports listen at the host's LAN address, and SSH alone everywhere."""
    assert_listens_to_the_lan(entered)


def test_after_a_failover_a_run_moves_no_role(site: Site, formed: Played) -> None:
    """Who is master stays master: nothing is changed, nothing is given back."""
    cluster = site.cluster
    shard = cluster.inventory.shards[0]
    cluster.manual_failover(shard.replicas[0])
    cluster.wait_replica(shard.master, shard.replicas[0], cluster.rejoin_budget)
    roles = cluster.roles()
    again = site.play()
    assert again.idle, again.output
    assert site.cluster.roles() == roles
