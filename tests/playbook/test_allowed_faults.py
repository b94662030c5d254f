"""Faults on real hosts: only by the inventory's own name, one host at a time, and only where it is survived."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioning.cluster import Cluster
from tests.launched import LAUNCHER, ROOT, Launched, launched
from tests.playbook.conftest import Building, Site

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

NAME = "redis-gauntlet"
CLAIM = "test_the_servers_of_a_host_die_and_are_replaced"
VICTIM, OTHER = "redis-host-2", "redis-host-3"


@pytest.fixture(scope="module")
def site(building: Building) -> Site:
    """A formed cluster in its hosts' network."""
    made = building(redis_network_mode="host", redis_node_timeout=2000)
    formed = made.play()
    assert formed.code == 0, formed.output
    return made


def broken(site: Site, folder: Path, host: str, name: str = NAME, *, state: Path | None = None) -> Launched:
    """Let the servers of that host be killed."""
    environment = {"REDIS_GAUNTLET_PASSWORD": site.password}
    if state is not None:
        environment["REDIS_GAUNTLET_STATE"] = str(state)
    return launched(folder, *harming(site, host, name), environment=environment)


def harming(site: Site, host: str, name: str = NAME) -> tuple[str, ...]:
    return ("--inventory", str(site.file), "--allow-faults", name, "-k", f"{CLAIM} and {host}")


def runs(cluster: Cluster) -> dict[str, str]:
    """Return the run id of every server that answers: another one after each start."""
    return {node.full_name: cluster.info(node)["run_id"] for node in cluster.inventory.nodes}


def test_without_the_inventorys_name_nothing_is_harmed(site: Site, tmp_path: Path) -> None:
    """Another name is refused before anything is asked of a host; without the option no such test is run."""
    before = runs(site.cluster)
    refused = broken(site, tmp_path, VICTIM, "another")
    assert refused.is_refusal, refused.said
    assert f"the inventory's own name (redis_cluster_name): {NAME}" in refused.said
    login = {"REDIS_GAUNTLET_PASSWORD": site.password}
    plain = launched(tmp_path / "plain", "--inventory", site.file, "-k", CLAIM, environment=login)
    assert plain.code == pytest.ExitCode.NO_TESTS_COLLECTED, plain.said
    assert runs(site.cluster) == before


def test_the_loss_of_a_host_is_survived_as_predicted(site: Site, tmp_path: Path) -> None:
    """Its two servers die and are started again; all others run on, and masters are where they were."""
    before, roles = runs(site.cluster), site.cluster.roles()
    run = broken(site, tmp_path, VICTIM)
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    after = runs(site.cluster)
    assert {name for name in before if after[name] != before[name]} == {
        node.full_name for node in site.inventory.host(VICTIM).nodes
    }
    assert site.cluster.roles() == roles
    (failover,) = run.document["failovers"]
    assert (failover["victim"], failover["attempt"]) == (f"{VICTIM}/redis_master", 1)
    (row,) = [each for each in run.document["survival"] if each["host"] == VICTIM]
    assert (row["survives"], row["tried"]) == (True, "survived")


def test_a_fatal_loss_is_refused(site: Site, tmp_path: Path) -> None:
    """With two masters on one host the run says why nothing there may be harmed, and harms nothing."""
    cluster = site.cluster
    guest = next(node for node in site.inventory.host(OTHER).nodes if node.role == "replica")
    cluster.wait_quiet()
    cluster.manual_failover(guest)
    before = runs(cluster)
    run = broken(site, tmp_path, OTHER)
    said = " ".join(run.said.split())
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert f"nothing on {OTHER} may be taken down" in said
    assert "1 of 3 masters are left and 2 are needed to elect" in said
    assert runs(cluster) == before
    cluster.restore_layout()


def test_a_second_host_is_not_harmed_while_one_is_ill(site: Site, tmp_path: Path) -> None:
    """A dead replica elsewhere is enough."""
    cluster = site.cluster
    dead = next(node for node in site.inventory.host("redis-host-1").nodes if node.role == "replica")
    site.docker(dead.host, "stop", dead.name)
    others = [node for node in site.inventory.nodes if node != dead]
    before = {node.full_name: cluster.info(node)["run_id"] for node in others}
    run = broken(site, tmp_path, OTHER)
    site.docker(dead.host, "start", dead.name)
    assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
    assert {node.full_name: cluster.info(node)["run_id"] for node in others} == before
    cluster.wait_ready(cluster.rejoin_budget + cluster.inventory.node_timeout)


def test_what_a_killed_run_left_down_the_next_one_starts(site: Site, tmp_path: Path) -> None:
    """A run that is killed while servers are down can start nothing; its successor does that first."""
    cluster, state = site.cluster, tmp_path / "state"
    victims = site.inventory.host(VICTIM).nodes
    with begun(site, tmp_path, state) as run:
        cluster.wait_for(
            lambda: all(cluster.state(node) == "unreachable" for node in victims),
            f"the servers of {VICTIM} are dead",
            cluster.rejoin_budget + 12 * cluster.inventory.node_timeout,
        )
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert all(cluster.state(node) == "unreachable" for node in victims)
    after = broken(site, tmp_path / "after", OTHER, state=state)
    assert after.code == 0, after.said
    assert "an earlier run had left these down" in " ".join(after.said.split())
    cluster.wait_ready(cluster.rejoin_budget)
    cluster.restore_layout()


@contextmanager
def begun(site: Site, folder: Path, state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a run that harms the first victim; it is ended with the block."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "REDIS_GAUNTLET_"))}
    ours = {"REDIS_GAUNTLET_PASSWORD": site.password, "REDIS_GAUNTLET_STATE": str(state), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *LAUNCHER, "-p", "no:cacheprovider", "--report", str(folder / "report")]
    with subprocess.Popen(
        [*command, *harming(site, VICTIM)],
        cwd=ROOT,
        env={**known, **ours},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        try:
            yield run
        finally:
            run.kill()
