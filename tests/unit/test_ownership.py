"""A run owns its objects as long as one of its processes lives; what dead runs left is reaped, and nothing else."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from provisioning import ownership
from provisioning.docker_engine import Engine
from provisioning.errors import WaitTimeout
from provisioning.images import ServerImage
from provisioning.ownership import CLUSTER_LABEL, OWNER_LABEL, RUN_LABEL, Run, kept, objects, owner, reap, release
from tests.launched import launched

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]

OWNER_OF_NETWORK = """
import sys
from provisioning.docker_engine import connect
from provisioning.ownership import Run
run = Run.begin(sys.argv[1])
for name in sys.argv[2:]:
    connect().client.api.create_network(name, labels=run.labels("t-own"), internal=True)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of this test's own: its owner is nobody else, so it can reap nobody else's."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))
    return tmp_path


@contextmanager
def member(run_id: str, *networks: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process that has joined the run and made these networks; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER_OF_NETWORK, run_id, *networks],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def free(run_id: str) -> bool:
    """True where all processes of the run are gone."""
    with ownership._exclusively(run_id) as alone:
        return alone


def lock_files(state: Path) -> list[str]:
    return sorted(file.name for file in (state / "runs").glob("*.lock"))


def test_a_run_holds_its_lock_until_it_leaves() -> None:
    """While the run lasts nobody has it alone; afterwards anybody may."""
    run = Run.begin()
    assert not free(run.id)
    run.leave()
    assert free(run.id)


def test_runs_have_names_of_their_own() -> None:
    """Two runs are two, and neither's end is the other's."""
    one, other = Run.begin(), Run.begin()
    assert one.id != other.id
    one.leave()
    assert free(one.id)
    assert not free(other.id)
    other.leave()


def test_a_shared_run_is_free_when_all_have_left() -> None:
    """Controller and workers hold one run together; the last one counts."""
    controller = Run.begin()
    workers = [Run.begin(controller.id) for _ in range(2)]
    for each in (controller, workers[0]):
        each.leave()
        assert not free(controller.id)
    workers[1].leave()
    assert free(controller.id)


def test_a_killed_process_lets_go() -> None:
    """The kernel frees the lock of a process that was killed with SIGKILL, and only that process's."""
    run = Run.begin()
    with member(run.id) as worker:
        run.leave()
        assert not free(run.id)
        kill(worker)
        assert free(run.id)


def test_children_do_not_hold_the_lock() -> None:
    """A command that the run started and that outlives it does not keep the run alive."""
    run = Run.begin()
    child = subprocess.Popen(["sleep", "30"])
    try:
        run.leave()
        assert free(run.id)
    finally:
        child.kill()
        child.wait()


def test_looking_does_not_take_the_lock_away() -> None:
    """While a reaper holds a dead run a new one of that id waits, and afterwards holds a lock that counts."""
    run = Run.begin("again")
    run.leave()
    with ownership._exclusively("again") as alone:
        assert alone
    joined = Run.begin("again")
    assert not free("again")
    joined.leave()


def test_a_removed_lock_file_is_not_relied_on(state: Path) -> None:
    """Whoever begins while the file is being removed locks the new file, which the next reaper sees."""
    Run.begin("gone").leave()
    (state / "runs" / "gone.lock").unlink()
    run = Run.begin("gone")
    assert not free("gone")
    run.leave()


def test_the_owner_is_one_and_stays(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is written once; another state directory is another owner."""
    first = owner()
    assert owner() == first
    assert len(first) == 16
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(state / "other"))
    assert owner() != first


def test_what_is_kept_is_kept_by_name() -> None:
    """A run keeps some of its clusters; each is released by itself, and the last takes the note away."""
    run = Run.begin()
    run.keep("a")
    run.keep("b")
    assert kept(run.id) == {"a", "b"}
    release(run.id, "a")
    assert kept(run.id) == {"b"}
    run.leave()
    release(run.id, "b")
    assert kept(run.id) == frozenset()
    release(run.id, "b")


def test_labels_say_whose_it_is() -> None:
    """Run, owner and cluster are on every object."""
    run = Run.begin()
    assert run.labels("c") == {
        ownership.LABEL: "1",
        RUN_LABEL: run.id,
        OWNER_LABEL: owner(),
        CLUSTER_LABEL: "c",
    }
    run.leave()


@pytest.fixture
def networks(engine: Engine) -> Iterator[list[str]]:
    """Names for networks of this test, removed afterwards."""
    api: Any = engine.client.api
    prefix = f"t-own-{secrets.token_hex(4)}"
    names = [f"{prefix}-{n}" for n in range(2)]
    yield names
    for name in names:
        with suppress(docker.errors.NotFound):
            api.remove_network(name)


@pytest.fixture
def in_use(engine: Engine, server: ServerImage, networks: list[str]) -> Iterator[Callable[[str], str]]:
    """Attaches a container that is nobody's to a network and returns its name; removed before the networks are."""
    api: Any = engine.client.api
    made: list[str] = []

    def attach(network: str) -> str:
        name = f"{network}-stranger"
        config = api.create_host_config(network_mode=network)
        made.append(api.create_container(server.reference, ["sleep", "600"], name=name, host_config=config)["Id"])
        api.start(name)
        return name

    yield attach
    for container in made:
        api.remove_container(container, force=True, v=True)


def present(engine: Engine, names: list[str]) -> list[str]:
    api: Any = engine.client.api
    return sorted(each["Name"] for each in api.networks(names=names) if each["Name"] in names)


def test_what_a_killed_run_left_is_reaped(engine: Engine, networks: list[str], state: Path) -> None:
    """Not while its process lives; all of it once that was killed; then nothing is left to reap, not even a lock."""
    with member("r1", *networks) as process:
        assert reap(engine) == 0
        assert present(engine, networks) == networks
        kill(process)
        said: list[str] = []
        assert reap(engine, said.append) == 2
    assert said == ["reaping 2 objects that run r1 left behind"]
    assert present(engine, networks) == []
    assert reap(engine) == 0
    assert lock_files(state) == []


def test_what_was_kept_is_not_reaped(engine: Engine, networks: list[str]) -> None:
    """A kept cluster outlives its run; released, it is reaped like any other."""
    with member("r2", networks[0]) as process:
        run = Run.begin("r2")
        run.keep("t-own")
        run.leave()
        kill(process)
    assert reap(engine) == 0
    assert present(engine, networks) == [networks[0]]
    release("r2", "t-own")
    assert reap(engine) == 1
    assert present(engine, networks) == []


def test_the_objects_of_another_owner_are_left_alone(
    engine: Engine, networks: list[str], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine or user on the same engine has locks that we cannot see: nothing of theirs is judged."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(state / "theirs"))
    with member("r3", networks[0]) as process:
        kill(process)
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(state / "ours"))
    said: list[str] = []
    assert reap(engine) == 0
    assert ownership.clean(engine, said.append) == 0
    assert any("another user or machine" in each for each in said)
    assert present(engine, networks) == [networks[0]]


def test_clean_removes_what_was_kept_but_nothing_that_runs(engine: Engine, networks: list[str]) -> None:
    """`make clean` takes kept clusters too, and says which runs it left alone."""
    with member("r4", networks[0]):
        with member("r5", networks[1]) as dead:
            run = Run.begin("r5")
            run.keep("t-own")
            run.leave()
            kill(dead)
        said: list[str] = []
        assert ownership.clean(engine, said.append) == 1
        assert present(engine, networks) == [networks[0]]
        assert "run r4 is running: left alone" in said
        assert kept("r5") == frozenset()


def test_the_end_of_a_run_removes_its_own(engine: Engine, networks: list[str]) -> None:
    """A run that ends takes what it made and did not keep, and nothing of a run beside it."""
    api: Any = engine.client.api
    one, other = Run.begin(), Run.begin()
    for name, run in zip(networks, (one, other), strict=True):
        api.create_network(name, driver="bridge", internal=True, labels=run.labels("t-own"))
    one.end(engine)
    assert present(engine, networks) == [networks[1]]
    assert free(one.id)
    other.end(engine)
    assert present(engine, networks) == []


def test_a_network_that_the_engine_miscounts_is_left_and_reported(
    engine: Engine, networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is on it, and the engine refuses to remove it: that fails nothing, and is said.

    Here it refuses because another network takes its configuration from it, as its count of endpoints goes wrong by
    chance only. When that network is gone too it is as after a restart of the engine.
    """
    run = Run.begin()
    labels = [f"--label={key}={value}" for key, value in run.labels("t-own").items()]
    for options in (["--config-only", *labels, networks[0]], [f"--config-from={networks[0]}", networks[1]]):
        subprocess.run(["docker", "network", "create", *options], check=True, capture_output=True, timeout=30)
    made = sorted(objects(engine, {RUN_LABEL: run.id}), key=lambda each: each.name)
    said: list[str] = []
    with monkeypatch.context() as impatient:
        impatient.setattr(ownership, "MISCOUNT_SECONDS", 0.3)
        assert ownership.remove(engine, made[:1], said.append) == 0
    assert [each.startswith(f"left behind: network {networks[0]}. Nothing is attached") for each in said] == [True]
    assert "in use" in said[0], "it is to repeat what the engine says"
    assert present(engine, networks) == networks
    assert ownership.remove(engine, made, said.append) == 2
    assert said[1:] == []
    assert present(engine, networks) == []
    run.leave()


def test_a_network_in_use_is_not_given_up_silently(
    engine: Engine, networks: list[str], in_use: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a container of somebody else is attached to cannot be removed, and the message says by whom it is used."""
    monkeypatch.setattr(ownership, "REMOVAL_SECONDS", 2.0)
    monkeypatch.setattr(ownership, "MISCOUNT_SECONDS", 0.3)
    api: Any = engine.client.api
    run = Run.begin()
    api.create_network(networks[0], labels=run.labels("t-own"))
    stranger = in_use(networks[0])
    with pytest.raises(WaitTimeout, match=f"attached: {stranger}$"):
        run.end(engine)
    run.leave()


ENDS_BADLY = """
from provisioning import ownership

ownership.REMOVAL_SECONDS = 1.0


def test_that_makes_a_network(gauntlet):
    api = gauntlet.engine.client.api
    api.create_network({network!r}, labels=gauntlet.run.labels("t-own"))
    config = api.create_host_config(network_mode={network!r})
    made = api.create_container(gauntlet.images.server.reference, ["sleep", "600"], name={name!r}, host_config=config)
    api.start(made["Id"])
"""


def test_a_run_that_cannot_remove_what_it_made_says_so(engine: Engine, networks: list[str], tmp_path: Path) -> None:
    """Its tests passed, and yet its exit code is not 0; one message, no traceback."""
    api: Any = engine.client.api
    name = f"{networks[0]}-stranger"
    module = tmp_path / "test_ends_badly.py"
    module.write_text(ENDS_BADLY.format(network=networks[0], name=name), encoding="utf-8")
    try:
        run = launched(tmp_path / "run", module, "--rootdir", ROOT, "-p", "conftest", "-n", "0")
    finally:
        with suppress(docker.errors.NotFound):
            api.remove_container(name, force=True, v=True)
    assert "1 passed" in run.output, run.said
    assert run.code == 1
    assert "Traceback" not in run.said
    assert run.errors.count("error: not all that this run made is removed") == 1
    assert f"network {networks[0]} removed" in run.errors
    assert f"attached: {name}" in run.errors
    assert "what to do: make clean" in run.errors
