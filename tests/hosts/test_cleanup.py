"""Whatever happens to a run, nothing of it stays, nothing foreign is touched, and runs do not meet."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from fixtures.session import Session
from fixtures.target import Target
from provisioning.cluster import Cluster
from provisioning.ownership import CLUSTER_LABEL, REMOVAL_SECONDS
from provisioning.playground import PREFIX
from provisioning.progress import runnable
from provisioning.waiting import wait_until
from tests.hosts.subrun import Subrun, count, left

pytestmark = [pytest.mark.destructive, pytest.mark.slow]

LOOK = "tests/placement/test_layout.py::test_no_host_has_half_of_the_masters"
FAILOVER = "tests/failover/test_master_killed.py::test_a_killed_master_is_replaced[1]"
CONTAINERS = 9

Happened = Callable[[], object]


def test_a_finished_run_leaves_nothing(gauntlet: Session, tmp_path: Path) -> None:
    """After a passing run its networks, volumes and containers are gone."""
    assert _complete(tmp_path / "state", LOOK) == 0
    assert left(gauntlet.engine, tmp_path / "state") == 0


def test_hosts_leave_a_network_one_after_another(
    gauntlet: Session, target: Target, simulation_of: Callable[..., Cluster]
) -> None:
    """When it is rebuilt and removed: where several leave at a time an engine may never let go of the network."""
    simulation = simulation_of(target.layout).simulated
    api: Any = gauntlet.engine.client.api
    filters = {"label": f"{CLUSTER_LABEL}={simulation.name}", "event": ["kill", "die"]}
    events = api.events(decode=True, filters=filters)
    seen: list[str] = []
    reader = Thread(target=lambda: seen.extend(each["Actor"]["Attributes"]["name"] for each in events), daemon=True)
    reader.start()
    try:
        simulation.rebuild()
        simulation.remove()
        hosts = [host.name for host in simulation.hosts.values()]
        wait_until(
            lambda: sum(name in hosts for name in seen) == 2 * 2 * len(hosts),
            "two events, kill and die, of each host's two ends",
            REMOVAL_SECONDS,
            shown=lambda: str(seen),
        )
    finally:
        events.close()
        reader.join()
    ended = [name for name in seen if name in hosts]
    assert ended[::2] == ended[1::2], ended


@pytest.mark.parametrize(
    ("moment", "test"),
    [("formation", LOOK), ("failover", FAILOVER), ("clean-up", LOOK)],
    ids=["formation", "failover", "clean-up"],
)
def test_what_a_killed_run_left_is_reaped_by_the_next(
    gauntlet: Session, tmp_path: Path, moment: str, test: str
) -> None:
    """SIGKILL in the middle of formation, of a failover, of clean-up: the next run works, 0 objects are left."""
    state = tmp_path / "state"
    with Subrun(state, test) as killed:
        killed.wait_for(_reached(gauntlet, state, moment), f"the middle of {moment}")
        killed.signal_group(signal.SIGKILL)
        killed.wait_exit()
    assert left(gauntlet.engine, state) > 0

    with Subrun(state, LOOK) as following:
        assert following.wait_exit() == 0, following.output
        assert "reaping" in following.output
    assert left(gauntlet.engine, state) == 0


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("moment", "test"), [("formation", LOOK), ("failover", FAILOVER)], ids=["formation", "failover"]
)
def test_an_interrupted_run_cleans_up(
    gauntlet: Session, tmp_path: Path, moment: str, test: str, number: signal.Signals, workers: int
) -> None:
    """Ctrl-C and SIGTERM, with and without workers: non-zero exit, no traceback of ours, 0 objects left."""
    state = tmp_path / "state"
    with Subrun(state, test, "-n", str(workers)) as interrupted:
        interrupted.wait_for(_reached(gauntlet, state, moment), f"the middle of {moment}")
        if number == signal.SIGINT:
            interrupted.signal_group(number)
        else:
            interrupted.process.send_signal(number)
        assert interrupted.wait_exit() != 0
    assert left(gauntlet.engine, state) == 0, interrupted.output


def test_two_runs_at_once_do_not_meet(gauntlet: Session, tmp_path: Path) -> None:
    """Two runs of one user: both pass, neither reaps the other, and nothing is left."""
    state = tmp_path / "state"
    with Subrun(state, LOOK) as first:
        first.wait_for(_reached(gauntlet, state, "formation"), "the first run's containers")
        with Subrun(state, LOOK, "--report", str(tmp_path / "second")) as second:
            assert second.wait_exit() == 0, second.output
            assert "reaping" not in second.output
        assert first.wait_exit() == 0, first.output
    assert left(gauntlet.engine, state) == 0


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
def test_a_foreign_object_with_our_name_is_left_alone(gauntlet: Session, tmp_path: Path, kind: str) -> None:
    """``up`` says whose name it is, exits with 1, leaves nothing of its own and the foreign one as it was."""
    api: Any = gauntlet.engine.client.api
    state = tmp_path / "state"
    cluster = f"f{gauntlet.run.id}-{gauntlet.worker}"
    name = f"{PREFIX}{cluster}-redis-host-1" + ("-config" if kind == "volume" else "")
    match kind:
        case "container":
            api.create_container(gauntlet.images.host, name=name, command=["true"])
        case "network":
            api.create_network(name)
        case _:
            api.create_volume(name)
    try:
        with Subrun(state, "up", "--name", cluster, module="provisioning") as refused:
            assert refused.wait_exit() == 1, refused.output
            assert f"a {kind} named {name} exists and is not ours" in refused.output
            assert "Traceback" not in refused.output
        assert left(gauntlet.engine, state) == 0
    finally:
        # Fails where the foreign object is gone, and so shows that it was left alone.
        match kind:
            case "container":
                api.remove_container(name, force=True)
            case "network":
                api.remove_network(name)
            case _:
                api.remove_volume(name)


def test_a_cluster_that_is_up_is_never_reaped(gauntlet: Session, tmp_path: Path) -> None:
    """A run beside it leaves it alone; ``down`` removes it."""
    state = tmp_path / "state"
    cluster = f"u{gauntlet.run.id}-{gauntlet.worker}"
    with Subrun(state, "up", "--name", cluster, module="provisioning") as up:
        assert up.wait_exit() == 0, up.output
    assert _complete(state, LOOK) == 0
    assert count(gauntlet.engine, state)["running"] == CONTAINERS
    with Subrun(state, "down", "--name", cluster, module="provisioning") as down:
        assert down.wait_exit() == 0, down.output
    assert left(gauntlet.engine, state) == 0


def test_a_failed_tests_cluster_is_kept_on_request(gauntlet: Session, tmp_path: Path) -> None:
    """--keep-cluster leaves it running, says how to reach and remove it; ``clean`` removes it as well."""
    state = tmp_path / "state"
    failing = tmp_path / "test_failing.py"
    failing.write_text("def test_fails(cluster):\n    assert not cluster\n", encoding="utf-8")
    with Subrun(state, str(failing), "--keep-cluster", "-c", "pytest.ini", "--rootdir", ".", "-p", "conftest") as run:
        code, running = run.wait_exit(), count(gauntlet.engine, state)["running"]
    with Subrun(state, "clean", module="provisioning") as clean:
        assert clean.wait_exit() == 0, clean.output
    assert left(gauntlet.engine, state) == 0
    assert (code, running) == (1, CONTAINERS), run.output
    assert runnable("remove it python -m provisioning down --name") in run.output, "it can be pasted"


def _complete(state: Path, *arguments: str) -> int:
    with Subrun(state, *arguments) as run:
        return run.wait_exit()


def _reached(gauntlet: Session, state: Path, moment: str) -> Happened:
    """Return what tells that a run is in the middle of formation, of a failover, or of its clean-up."""
    full = False

    def formation() -> bool:
        return count(gauntlet.engine, state)["running"] >= 2

    def failover() -> bool:
        found = count(gauntlet.engine, state)
        return found["running"] == CONTAINERS - 1 and found["exited"] == 1

    def cleaning() -> bool:
        nonlocal full
        found = count(gauntlet.engine, state)
        full = full or found["running"] == CONTAINERS
        return full and found["running"] + found["exited"] < CONTAINERS

    return {"formation": formation, "failover": failover, "clean-up": cleaning}[moment]
