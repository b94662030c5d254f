"""A look ends in time whatever is silent, says who was and why, and misses nothing of the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from fixtures.cluster import Supply
from fixtures.rules.judge import Verdict, judge
from fixtures.rules.settled import settled
from provisioning.cluster import Cluster
from provisioning.evidence import Evidence, HostEvidence, NodeEvidence
from provisioning.evidence.collect import REST_SECONDS
from provisioning.evidence.hosts_look import WAY_SECONDS, look_everywhere
from provisioning.inventory import Node
from provisioning.waiting import wait_until
from provisioning.written_inventory import write_inventory
from tests.planted.burden import quiet
from tests.planted.lent import lent
from tests.planted.silence import ALL_SECONDS, EVERYTHING, SILENCES, Silence, black_holed, frozen, paused

pytestmark = pytest.mark.destructive

ROOT = Path(__file__).parents[2]

LOOK = """
import signal, sys
from pathlib import Path
from provisioning.ansible_inventory import read_inventory
from provisioning.docker_engine import connect
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.simulation import Simulation
signal.signal(signal.SIGINT, signal.default_int_handler)
inventory = read_inventory(Path(sys.argv[1]))
simulation = Simulation.attached(connect(), inventory)
print("looking", flush=True)
look_everywhere(inventory, simulation, probe_run="interrupted")
print("seen", flush=True)
"""
"""One look as a program, to be interrupted."""

SCRIPT_SECONDS = REST_SECONDS - 2 * WAY_SECONDS
"""What a script on a host may take where nodes are silent: after that nothing of a look is left."""

BUSY = 3
"""Of a machine that is busy with other things: so many times what a look at the healthy cluster took before."""

STALL_SECONDS = 1.0
"""Between the moment in which a look is decided upon and the one in which it begins, on a loaded machine."""

INTERRUPTED_SECONDS = 4.0
"""Until an interrupted look is over, its program too: under LOOK_SECONDS, for which it would wait for a silent node."""


@pytest.fixture
def whole(request: pytest.FixtureRequest, garden: Supply) -> Iterator[Cluster]:
    """The worker's cluster of the default layout, to be broken, on a machine that nobody burdens meanwhile."""
    with lent(request, garden, to_break=True) as cluster, quiet():
        yield cluster


@pytest.mark.parametrize(
    "silence",
    [EVERYTHING, *(pytest.param(each, marks=pytest.mark.slow) for each in SILENCES)],
    ids=lambda silence: silence.id,
)
def test_a_look_at_silence_ends_in_time(whole: Cluster, silence: Silence) -> None:
    """It names just those who are silent, each with a reason, has all else, and leaves nothing running."""
    before, threads = whole_look(whole), set(threading.enumerate())
    with silence.done(whole):
        seen, took = look(whole)
        check_nothing_stays(threads)
    assert took < min(ALL_SECONDS, silence.within + BUSY * before.duration)
    assert seen.duration == pytest.approx(took, abs=0.5)
    check_nodes(seen, before, silence.nodes(whole))
    check_hosts(seen, before, silence.hosts(whole))


@pytest.mark.slow
def test_a_host_that_freezes_in_the_middle_of_a_look_holds_nobody_up(whole: Cluster) -> None:
    """The command that runs there is given up; the look ends in time and has all else."""
    before, threads = whole_look(whole), set(threading.enumerate())
    found: list[tuple[Evidence, float]] = []
    silent, host = whole.inventory.hosts[1].nodes[0], whole.inventory.hosts[0].name
    looking = threading.Thread(target=lambda: found.append(look(whole)), daemon=True)
    with black_holed(whole, silent):  # every host's command waits for it, long enough to be caught
        looking.start()
        wait_until(lambda: running_on(whole, host, "/dev/tcp/"), f"the look's command runs on {host}", ALL_SECONDS)
        with frozen(whole, host):
            looking.join(ALL_SECONDS)
            assert found, "the look is not over"
            check_nothing_stays(threads)
    seen, took = found[0]
    assert took < ALL_SECONDS
    check_nodes(seen, before, [silent])
    check_hosts(seen, before, [host])
    assert f"within {REST_SECONDS - WAY_SECONDS:.0f} s" in seen.hosts[0].not_collected["reachable_ports"]


@pytest.mark.slow
def test_looking_again_is_part_of_the_time(whole: Cluster) -> None:
    """With a node paused, what may pass is looked at again, where there is time for a look as long as those before.

    Each look ends in time by itself. Whatever a loaded machine makes of the last of them, none is begun too late.
    """
    looks: list[tuple[float, float]] = []

    def timed() -> Evidence:
        began = time.monotonic()
        seen, took = look(whole)
        looks.append((began, took))
        return seen

    with paused(whole, whole.inventory.masters[0]):
        seen = settled(timed, node_timeout=5.0)
    assert max(took for _, took in looks) < ALL_SECONDS, looks
    for count, (began, _) in enumerate(looks[1:], 1):
        another = max(took for _, took in looks[:count])
        assert began - looks[0][0] + another < ALL_SECONDS + STALL_SECONDS, looks
    assert len(looks) > 1 or looks[0][1] > ALL_SECONDS / 2 - STALL_SECONDS, "there was time for another look"
    assert judge(seen).of("node-unreachable")


@pytest.mark.slow
def test_an_interrupted_look_ends_at_once(whole: Cluster, tmp_path: Path) -> None:
    """Ctrl-C while a node is waited for ends the look and the program."""
    file = tmp_path / "inventory.yaml"
    write_inventory(whole.inventory, file)
    with paused(whole, whole.inventory.masters[0]):
        command = [sys.executable, "-c", LOOK, str(file)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        ) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == "looking\n"
                threads = Path(f"/proc/{program.pid}/task")
                wait_until(lambda: len(list(threads.iterdir())) > 1, "the look waits for the node", ALL_SECONDS)
                program.send_signal(signal.SIGINT)
                began = time.monotonic()
                said, trouble = program.communicate(timeout=ALL_SECONDS)
                took = time.monotonic() - began
            finally:
                program.kill()
    assert said == ""
    assert trouble.rstrip().endswith("KeyboardInterrupt"), trouble
    assert took < INTERRUPTED_SECONDS


def look(cluster: Cluster) -> tuple[Evidence, float]:
    """Return what is seen, probe keys and hosts included, and how many seconds that took."""
    began = time.monotonic()
    seen = look_everywhere(cluster.inventory, cluster.simulated, probe_run="bound")
    return seen, time.monotonic() - began


def whole_look(cluster: Cluster) -> Evidence:
    """Return a look at the cluster before anything is silent: nothing wrong, nothing missing."""
    seen, _ = look(cluster)
    judgement = judge(seen)
    assert (judgement.verdict, judgement.not_collected) == (Verdict.HOLDS, ())
    assert [host.name for host in seen.hosts] == [host.name for host in cluster.inventory.hosts]
    assert all(node.probes for node in seen.nodes)
    assert all(host.reachable_ports for host in seen.hosts)
    return seen


def check_nodes(seen: Evidence, before: Evidence, silent: Collection[Node]) -> None:
    """Assert that just these are silent, each with a reason, and that of the others there is what there was before."""
    judgement = judge(seen)
    names = {node.full_name for node in silent}
    assert {each.subject for each in judgement.of("node-unreachable")} == names
    assert judgement.verdict is (Verdict.VIOLATED if silent else Verdict.UNKNOWN)
    for node, earlier in zip(seen.nodes, before.nodes, strict=True):
        assert bool(node.unreachable) == (node.name in names)
        if not node.unreachable:
            assert (node.not_collected, missing_of(node)) == ({}, missing_of(earlier)), node.name
            assert (node.probes or {}).keys() == (earlier.probes or {}).keys()


def check_hosts(seen: Evidence, before: Evidence, mute: Collection[str]) -> None:
    """Assert the same of hosts; of a mute one the engine still tells how its containers are."""
    for host, earlier in zip(seen.hosts, before.hosts, strict=True):
        assert host.containers is not None
        if host.name in mute:
            assert host.not_collected["reachable_ports"]
        else:
            assert (host.not_collected, missing_of(host)) == ({}, missing_of(earlier)), host.name


def missing_of(seen: NodeEvidence | HostEvidence) -> set[str]:
    """Return the fields that are None."""
    return {each.name for each in fields(seen) if getattr(seen, each.name) is None}


def check_nothing_stays(threads: set[threading.Thread]) -> None:
    """Assert that no thread but these, and no docker command, is left."""

    def left() -> list[str]:
        return [*(each.name for each in set(threading.enumerate()) - threads), *docker_commands()]

    wait_until(lambda: not left(), "no thread and no docker command", SCRIPT_SECONDS, shown=lambda: str(left()))


def docker_commands() -> list[str]:
    """Return the docker commands that this process has started and that still run."""
    listing = subprocess.run(["ps", "-o", "ppid=,args=", "-A"], capture_output=True, text=True, check=True).stdout
    own = (line.split(maxsplit=1) for line in listing.splitlines())
    return [args for parent, args in own if parent == str(os.getpid()) and args.startswith("docker ")]


def running_on(cluster: Cluster, host: str, words: str) -> bool:
    """True where a process with these words in its command line runs on that host."""
    return words in cluster.simulated.hosts[host].run("ps", "-eo", "args").output
