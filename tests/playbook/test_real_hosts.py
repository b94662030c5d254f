"""Judging real hosts over SSH: each thing that a way in may lack works, or gives one clear message."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.playbook.conftest import Building, Site

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

USER = "deploy"


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A formed cluster in its hosts' network, and on each host a user beside root who may use sudo."""
    made = building(redis_network_mode="host")
    formed = made.play()
    assert formed.code == 0, formed.output
    made.admit(USER)
    return made


def test_sudo_is_used_where_the_inventory_says_so(site: Site, tmp_path: Path) -> None:
    """A user who may use sudo sees all that root sees."""
    run = site.judged(tmp_path, ansible_user=USER, ansible_become=True)
    assert (run.code, run.document["verdict"], run.found) == (0, "holds", set()), run.said


def test_without_sudo_what_is_not_seen_is_named(site: Site, tmp_path: Path) -> None:
    """A user who may not ask the engine leaves the verdict unknown, not good."""
    run = site.judged(tmp_path, ansible_user=USER)
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert "container-not-running" in run.undecided


def test_an_unknown_host_key_is_not_trusted(site: Site, tmp_path: Path) -> None:
    """Nothing is sent to a host whose key is not known."""
    empty = tmp_path / "known"
    empty.touch()
    options = f"-F none -o UserKnownHostsFile={empty} -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes"
    run = site.judged(tmp_path / "run", ansible_ssh_common_args=options)
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert "its host key is not known here" in " ".join(run.said.split())


def test_a_wrong_key_is_named(site: Site, tmp_path: Path) -> None:
    """The host refuses it, and the message says whom; so it does with a user who may not enter."""
    key = tmp_path / "other-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True, timeout=30)
    for folder, user, variables in (
        ("key", "root", {"ansible_ssh_private_key_file": str(key), "ansible_ssh_extra_args": "-o IdentitiesOnly=yes"}),
        ("user", "nobody", {"ansible_user": "nobody"}),
    ):
        run = site.judged(tmp_path / folder, **variables)
        assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
        assert f"user {user} is refused: Permission denied" in " ".join(run.said.split())


def test_a_host_that_is_down_is_named(site: Site, tmp_path: Path) -> None:
    """Its nodes are found dead, and that the host gives no answer is said once."""
    host = site.hosts.hosts["redis-host-3"]
    host.signal("KILL")
    run = site.judged(tmp_path)
    host.start()
    site.hosts.wait_up("redis-host-3")
    assert (run.code, run.document["verdict"]) == (1, "violated"), run.said
    assert {("node-unreachable", node.full_name) for node in site.inventory.host("redis-host-3").nodes} <= run.found
    site.cluster.wait_ready(site.cluster.rejoin_budget + 4 * site.inventory.node_timeout)
