"""Faults on real hosts: only by the inventory's own name, one host at a time, and only where it is survived."""

from __future__ import annotations

import getpass
import os
import socket
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from fixtures.history.failover import failover_bound
from fixtures.rules.harm import objection_to_harm
from provisioning.errors import FaultError
from provisioning.evidence.info import parse_info
from provisioning.faults.injection import EFFECT_SECONDS
from provisioning.hosts.harm_claim import CHANGING, MARK
from provisioning.hosts.remote_servers import UNIT
from provisioning.hosts.simulated import File
from provisioning.real_site import LONGEST_HARM, RealSite
from tests.hosts.subrun import Subrun
from tests.launched import Launched, launched
from tests.playbook.conftest import Building, Site, run_ids

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

NAME = "redis-gauntlet"
NO_PROCESS = 4_194_304
"""One more than the highest id that a process can have."""

NO_START = """\
#!/bin/sh
if [ "$1" = start ]; then echo 'planted: it does not start' >&2; exit 1; fi
exec /usr/bin/docker "$@"
"""
"""A docker command that goes before the real one, on a host where containers cannot be started."""

CLAIM = "test_the_servers_of_a_host_die_and_are_replaced"
VICTIM, OTHER = "redis-host-2", "redis-host-3"

SLOW_LOGIN, SLOW_LOGIN_SECONDS = "/etc/ssh/sshrc", 1.5
"""What runs at every login over SSH, and how long it keeps who logs in."""


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
    """Return the options of a run that finds the node timeout out by itself."""
    said = {key: value for key, value in site.variables.items() if key != "redis_node_timeout"}
    file = site.hosts.write_inventory("bare.yaml", of_hosts=site.of_hosts, **said)
    return ("--inventory", str(file), "--allow-faults", name, "-k", f"{CLAIM} and {host}")


@pytest.fixture
def real(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealSite:
    """The hosts as a run has them, in a state directory of its own."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path / "own-state"))
    return RealSite(site.inventory, lambda host: objection_to_harm(site.cluster.look(), host))


def said_by(run: Launched) -> str:
    return " ".join(run.said.split())


def test_without_the_inventorys_name_nothing_is_harmed(site: Site, tmp_path: Path) -> None:
    """Another name is refused before anything is asked of a host; without the option no such test is run."""
    before = run_ids(site.cluster)
    refused = broken(site, tmp_path, VICTIM, "another")
    assert refused.is_refusal, refused.said
    assert f"the inventory's own name (redis_cluster_name): {NAME}" in refused.said
    login = {"REDIS_GAUNTLET_PASSWORD": site.password}
    plain = launched(tmp_path / "plain", "--inventory", site.file, "-k", CLAIM, environment=login)
    assert plain.code == pytest.ExitCode.NO_TESTS_COLLECTED, plain.said
    assert run_ids(site.cluster) == before


def test_the_loss_of_a_host_is_survived_as_predicted(site: Site, tmp_path: Path) -> None:
    """Its two servers die and are started again; all others run on, and masters are where they were."""
    before, roles, told = run_ids(site.cluster), site.cluster.roles(), told_to_write(site)
    run = broken(site, tmp_path, VICTIM)
    assert (run.code, run.document["verdict"]) == (0, "holds"), run.said
    after = run_ids(site.cluster)
    assert {name for name in before if after[name] != before[name]} == {
        node.full_name for node in site.inventory.host(VICTIM).nodes
    }
    assert site.cluster.roles() == roles
    assert told_to_write(site) == told | dict.fromkeys((n.full_name for n in site.inventory.host(VICTIM).nodes), 0)
    (failover,) = run.document["failovers"]
    assert (failover["victim"], failover["attempt"]) == (f"{VICTIM}/redis_master", 1)
    assert failover["bound_s"] == failover_bound(site.inventory.node_timeout), "by the node timeout that the nodes have"
    assert not left_on(site, VICTIM)
    (row,) = [each for each in run.document["survival"] if each["host"] == VICTIM]
    assert (row["survives"], row["tried"]) == (True, "survived")


def told_to_write(site: Site) -> dict[str, int]:
    """Return how many commands each server was sent, since its start, that write or publish something."""
    found = {}
    for node in site.nodes:
        stats = parse_info(str(site.cluster.call(node, "INFO", "commandstats")))
        calls = [text for name, text in stats.items() if name.removeprefix("cmdstat_") in ("set", "del", "publish")]
        found[node.full_name] = sum(int(text.removeprefix("calls=").split(",")[0]) for text in calls)
    return found


def left_on(site: Site, host: str) -> str:
    """Return what a run has left on the host: its claim, and the timer that starts the servers."""
    look = f"ls {MARK} 2>/dev/null; systemctl list-units --all --plain --no-legend '{UNIT}*'"
    return site.hosts.hosts[host].sure("sh", "-c", look).strip()


def test_a_fatal_loss_is_refused(site: Site, tmp_path: Path) -> None:
    """With two masters on one host the run says why nothing there may be harmed, and harms nothing."""
    cluster = site.cluster
    guest = next(node for node in site.inventory.host(OTHER).nodes if node.role == "replica")
    cluster.wait_quiet()
    try:
        cluster.manual_failover(guest)
        before = run_ids(cluster)
        run = broken(site, tmp_path, OTHER)
        assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
        assert f"nothing on {OTHER} may be taken down" in said_by(run)
        assert "1 of 3 masters are left and 2 are needed to elect" in said_by(run)
        assert run_ids(cluster) == before
    finally:
        cluster.restore_layout()


def test_a_second_host_is_not_harmed_while_one_is_ill(site: Site, tmp_path: Path) -> None:
    """A dead replica elsewhere is enough, and the run says so; a wait for quiet does without that node."""
    cluster = site.cluster
    dead = next(node for node in site.inventory.host("redis-host-1").nodes if node.role == "replica")
    site.docker(dead.host, "stop", dead.name)
    try:
        before = run_ids(cluster, but=dead)
        run = broken(site, tmp_path, OTHER)
        assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
        assert f"nothing on {OTHER} may be taken down" in said_by(run)
        assert f"{dead.full_name} does not answer" in said_by(run)
        assert run_ids(cluster, but=dead) == before
        cluster.wait_quiet()
    finally:
        site.docker(dead.host, "start", dead.name)
        cluster.wait_ready(cluster.rejoin_budget + cluster.inventory.node_timeout)


def test_a_container_that_is_not_the_nodes_is_not_harmed(site: Site, real: RealSite) -> None:
    """Its name alone does not count: the two on one host have each other's."""
    master, replica = site.inventory.host(VICTIM).nodes
    real.nodes[master.full_name].make_sure_of(master)
    with pytest.raises(FaultError, match="is not shown to be"):
        real.nodes[replica.full_name].make_sure_of(master)
    mixed = site.inventory.with_nodes(
        {
            master.full_name: replace(master, container=replica.name),
            replica.full_name: replace(replica, container=master.name),
        }
    )
    with pytest.raises(FaultError, match=f"nothing on {VICTIM} may be taken down"):
        RealSite(mixed, lambda host: None).permit(VICTIM)


def test_nothing_is_killed_without_permission_for_that_host(site: Site, real: RealSite) -> None:
    """Permission for one host is none for another, and each is good for one kill."""
    before = run_ids(site.cluster)
    with pytest.raises(FaultError, match="without permission"):
        real.kill(VICTIM)
    real.permit(OTHER)
    with pytest.raises(FaultError, match="without permission"):
        real.kill(VICTIM)
    with pytest.raises(FaultError, match="without permission"):
        real.kill(OTHER)
    assert run_ids(site.cluster) == before


def test_one_run_at_a_time_has_the_hosts(site: Site, real: RealSite, tmp_path: Path) -> None:
    """Of this machine, and of others: each is told at once who has them, and how a dead one's claim is removed."""
    with real.claimed():
        with pytest.raises(FaultError, match="another run on this machine has faults allowed"), real.claimed():
            pass
        second = broken(site, tmp_path / "second", VICTIM, state=tmp_path / "another-state")
    assert second.code == 1, second.said
    assert f"process {os.getpid()} since" in said_by(second), "who has them lives, and is not taken for dead"
    assert not left_on(site, OTHER)

    host = site.hosts.hosts[OTHER]
    clone = f"{getpass.getuser()}@{socket.gethostname()}/00000000 process {NO_PROCESS}"
    for stranger in ("ada@elsewhere process 1", clone):
        told = f"{stranger} since 2024-01-01T00:00:00+00:00"
        host.sure("sh", "-c", f"echo '{told}' > {MARK}")
        try:
            with pytest.raises(FaultError) as refused, real.claimed():
                pass
            assert refused.value.observed == told
            assert f"rm {MARK} on {OTHER}" in refused.value.advice
            assert not left_on(site, VICTIM), "what was claimed before the refusal is free again"
            assert left_on(site, OTHER).split() == [MARK]
        finally:
            host.sure("rm", MARK)


def test_the_playbook_and_a_run_that_harms_keep_apart(site: Site, real: RealSite) -> None:
    """Whoever comes second is refused, and told what the other one is."""
    before = run_ids(site.cluster)
    with real.claimed():
        refused = site.play()
    assert refused.code != 0
    assert f"a run with --allow-faults has this host expected: no {MARK} there" in " ".join(refused.output.split())
    assert f"process {os.getpid()} since" in refused.output
    host = site.hosts.hosts[OTHER]
    host.sure("touch", CHANGING)
    try:
        with pytest.raises(FaultError, match=f"the nodes of {OTHER} are being changed"), real.claimed():
            pass
        assert not any(left_on(site, each) for each in site.hosts.hosts)
    finally:
        host.sure("rm", CHANGING)
    assert run_ids(site.cluster) == before


def test_whoever_begins_to_harm_while_the_playbook_runs_is_seen(site: Site) -> None:
    """Before the cluster is changed it looks again, and leaves no note: whoever came first goes on."""
    host, before = site.hosts.hosts[OTHER], run_ids(site.cluster)

    def harm(run: object) -> None:
        host.sure("sh", "-c", f"echo somebody > {MARK}")

    try:
        refused = site.play(
            at={"TASK [redis : Render the configurations": harm}, redis_settings={"slowlog-max-len": "99"}
        )
    finally:
        host.sure("rm", MARK)
    assert refused.code != 0
    assert (refused.rolled, run_ids(site.cluster)) == ([], before), refused.output
    assert "observed: somebody" in refused.output
    assert {each.run("test", "-e", CHANGING).code for each in site.hosts.hosts.values()} == {1}
    last = site.play(redis_settings={})
    assert (last.code, last.rolled) == (0, []), last.output
    assert host.run("test", "-e", CHANGING).code == 1


def test_what_cannot_be_started_keeps_nothing_else_down(site: Site, real: RealSite) -> None:
    """The other one is started, what is down is named with its command, and a later try mends it.

    The moment that is taken for the kill's comes after a slow login, and before the first server's end.
    """
    cluster = site.cluster
    master, replica = site.inventory.host(VICTIM).nodes
    cluster.wait_quiet()
    try:
        real.permit(VICTIM)
        site.hosts.hosts[VICTIM].put([File(SLOW_LOGIN, f"sleep {SLOW_LOGIN_SECONDS}\n")])
        began = time.monotonic()
        killed = real.kill(VICTIM)
        died = [
            datetime.fromisoformat(when).timestamp() - (time.time() - time.monotonic())
            for when in site.docker(VICTIM, "inspect", "-f", "{{.State.FinishedAt}}", master.name, replica.name).split()
        ]
        assert began + SLOW_LOGIN_SECONDS < killed < min(died)
        site.hosts.hosts[VICTIM].sure("rm", SLOW_LOGIN)
        site.docker(VICTIM, "rename", master.name, "away")
        with pytest.raises(FaultError) as failed:
            real.start(VICTIM)
        assert failed.value.summary == f"{master.full_name} cannot be started and stays down"
        assert failed.value.advice == f"on {VICTIM}: docker start {master.name}"
        cluster.wait_for(
            lambda: cluster.state(replica) != "unreachable", f"{replica.full_name} answers", cluster.rejoin_budget
        )
        assert UNIT in left_on(site, VICTIM), "the host goes on trying by itself"
    finally:
        site.hosts.hosts[VICTIM].sure("rm", "-f", SLOW_LOGIN)
        site.docker(VICTIM, "rename", "away", master.name)
        assert real.mend() == [master.full_name]
        assert UNIT not in left_on(site, VICTIM)
        assert real.mend() == []
        cluster.wait_ready(cluster.rejoin_budget + cluster.inventory.node_timeout)
        cluster.restore_layout()


def test_a_run_that_can_start_nothing_says_what_to_do(site: Site, real: RealSite, tmp_path: Path) -> None:
    """By hand, and at once: it does not wait for a cluster that cannot become whole."""
    docker = "/usr/local/bin/docker"
    host = site.hosts.hosts[VICTIM]
    victims = site.inventory.host(VICTIM).nodes
    host.put([File(docker, NO_START, mode=0o755)])
    try:
        run = broken(site, tmp_path / "run", VICTIM, state=tmp_path / "own-state")
        assert (run.code, run.document["verdict"]) == (1, "unknown"), run.said
        assert "cannot be started and stays down" in said_by(run)
        assert f"on {VICTIM}: docker start {' '.join(node.name for node in victims)}" in said_by(run)
        assert "planted: it does not start" in said_by(run)
        assert "a cluster that is ready" not in said_by(run)
    finally:
        host.sure("rm", docker)
        assert real.mend() == sorted(node.full_name for node in victims)
        site.cluster.wait_ready(site.cluster.rejoin_budget + site.cluster.inventory.node_timeout)
        site.cluster.restore_layout()
    assert not left_on(site, VICTIM)


def test_what_a_killed_run_left_down_the_next_one_starts(site: Site, tmp_path: Path) -> None:
    """A run that is killed while servers are down can start nothing; its successor does that, with its claims."""
    cluster, state = site.cluster, tmp_path / "state"
    try:
        killed_while_down(site, state)
        assert left_on(site, OTHER).split() == [MARK]
        after = broken(site, tmp_path / "after", OTHER, state=state)
        assert after.code == 0, after.said
        assert "an earlier run had left these down" in said_by(after)
        assert not left_on(site, VICTIM)
        cluster.wait_ready(cluster.rejoin_budget)
    finally:
        site.docker(VICTIM, "start", *(node.name for node in site.inventory.host(VICTIM).nodes))
        cluster.wait_ready(cluster.rejoin_budget + cluster.inventory.node_timeout)
        cluster.restore_layout()


def test_what_a_killed_run_left_down_starts_by_itself(site: Site, tmp_path: Path) -> None:
    """Though nobody ever runs again: the host starts its servers after a while."""
    cluster = site.cluster
    victims = site.inventory.host(VICTIM).nodes
    killed_while_down(site, tmp_path / "state")
    try:
        cluster.wait_for(
            lambda: all(cluster.state(node) != "unreachable" for node in victims),
            f"the servers of {VICTIM} are up by themselves",
            EFFECT_SECONDS + (LONGEST_HARM * len(victims) + 2) * cluster.inventory.node_timeout + cluster.rejoin_budget,
        )
    finally:
        site.docker(VICTIM, "start", *(node.name for node in victims))
        for host in site.hosts.hosts.values():
            host.sure("rm", "-f", MARK)
        cluster.wait_ready(cluster.rejoin_budget + cluster.inventory.node_timeout)
        cluster.restore_layout()


def killed_while_down(site: Site, state: Path) -> None:
    """SIGKILL a run while the servers of the first victim are down; nothing else that it started is killed."""
    victims = site.inventory.host(VICTIM).nodes

    def are_dead() -> bool:
        return all(site.cluster.state(node) == "unreachable" for node in victims)

    with Subrun(state, *harming(site, VICTIM), environment={"REDIS_GAUNTLET_PASSWORD": site.password}) as run:
        run.wait_for(are_dead, f"the servers of {VICTIM} are dead")
        run.process.kill()
        run.process.wait()
    assert are_dead()
