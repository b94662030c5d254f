"""Whose Docker object is it: labels on everything we make, a held file lock for every run, and the reaper.

An object is ours if it carries the label ``redis-gauntlet``. It belongs to a run by the label
``redis-gauntlet.run``; the run holds a shared lock on a file of that name as long as it lives
(its xdist workers too), and the kernel lets go of it however the process dies. What belongs to a
run whose lock is free is reaped, unless the run kept it: a kept cluster (``provisioning up``,
``pytest --keep-cluster``) stays until it is taken down by name.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import docker.errors
import requests.exceptions

from provisioning.docker_engine import Engine
from provisioning.errors import SimulationError
from provisioning.state import state_dir
from provisioning.waiting import wait_until

LABEL = "redis-gauntlet"
RUN_LABEL = "redis-gauntlet.run"
OWNER_LABEL = "redis-gauntlet.owner"
CLUSTER_LABEL = "redis-gauntlet.cluster"
MARK = f"{LABEL}=1"
"""What the engine is asked for. Our images carry the label with another value, and who runs them inherits that."""

Kind = Literal["container", "network", "volume"]
REMOVAL_SECONDS = 60.0
"""How long the engine may take to let go of one object; it answers within a second when idle."""

MISCOUNT_SECONDS = 10.0
"""So long an engine may refuse to remove a network on which it shows nothing; then its count of endpoints is wrong."""


def owner() -> str:
    """Return the id of this user on this machine, kept in the state directory.

    One engine may serve several machines; none may judge another's runs, as it cannot see their locks.
    """
    file = state_dir() / "owner"
    if not file.exists():
        new = file.with_name(f"owner.{os.getpid()}.{secrets.token_hex(4)}")
        new.write_text(secrets.token_hex(8), encoding="ascii")
        try:
            os.link(new, file)  # whole or not at all, and the first one's stays
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return file.read_text(encoding="ascii")


def is_ours(labels: Mapping[str, str] | None) -> bool:
    """True for the labels of an object that this project made."""
    return (labels or {}).get(LABEL) == "1"


@dataclass
class Run:
    """A process (with its workers) that owns Docker objects while it holds its lock."""

    id: str
    _lock: int = field(repr=False)

    @classmethod
    def begin(cls, run_id: str = "") -> Run:
        """Begin a run, or join the one of that id, and hold its lock until ``end`` or death."""
        run_id = run_id or secrets.token_hex(3)
        file = _lock_file(run_id)
        while True:  # once more only where a reaper removed the file between opening and locking it
            lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_SH)
            try:
                if os.path.samestat(os.fstat(lock), os.stat(file)):
                    return cls(run_id, lock)
            except FileNotFoundError:
                pass
            os.close(lock)

    def labels(self, cluster: str) -> dict[str, str]:
        """Return the labels for every object of that cluster."""
        return {LABEL: "1", RUN_LABEL: self.id, OWNER_LABEL: owner(), CLUSTER_LABEL: cluster}

    def keep(self, cluster: str) -> None:
        """Leave this cluster running after the run: it is never reaped, only taken down."""
        with open(_keep_file(self.id), "a", encoding="utf-8") as file:
            file.write(f"{cluster}\n")

    def end(self, engine: Engine, report: Callable[[str], None] = lambda _: None) -> None:
        """Remove what the run left and did not keep, and let go of its lock."""
        left = [each for each in objects(engine, {RUN_LABEL: self.id}) if each.cluster not in kept(self.id)]
        remove(engine, left, report)
        self.leave()

    def leave(self) -> None:
        """Let go of the lock without removing anything (a worker, whose controller removes)."""
        os.close(self._lock)


@dataclass(frozen=True)
class DockerObject:
    """A container, network or volume with our label."""

    kind: Kind
    id: str
    name: str
    labels: Mapping[str, str] = field(hash=False, repr=False, default_factory=dict)
    attached: bool = False
    """True for a container with endpoints of its own; False for one that joined another's network namespace."""

    @property
    def run(self) -> str:
        return self.labels.get(RUN_LABEL, "")

    @property
    def cluster(self) -> str:
        return self.labels.get(CLUSTER_LABEL, "")


def objects(engine: Engine, labels: Mapping[str, str] | None = None) -> list[DockerObject]:
    """Return the containers, networks and volumes with our label and these ones, all owners'."""
    api: Any = engine.client.api
    filters = {"label": [MARK, *(f"{name}={value}" for name, value in (labels or {}).items())]}
    found = [
        DockerObject(
            "container",
            each["Id"],
            each["Names"][0].lstrip("/") if each["Names"] else each["Id"],
            each["Labels"],
            attached=not each["HostConfig"]["NetworkMode"].startswith("container:"),
        )
        for each in api.containers(all=True, filters=filters)
    ]
    found += [
        DockerObject("network", each["Id"], each["Name"], each["Labels"]) for each in api.networks(filters=filters)
    ]
    found += [
        DockerObject("volume", each["Name"], each["Name"], each["Labels"])
        for each in api.volumes(filters=filters)["Volumes"] or []
    ]
    return found


def remove(engine: Engine, doomed: Iterable[DockerObject], report: Callable[[str], None] = lambda _: None) -> int:
    """Remove these objects: containers, then networks and volumes; return how many. What is gone already is no error.

    Containers with endpoints go one after another: where several join or leave a network at a time, engines before
    Docker 28.1 may count an endpoint too many from then on (moby#42119), and such a network cannot be removed until
    the engine is restarted. It is left, and reported. Raises WaitTimeout or SimulationError.
    """
    todo = list(doomed)
    refused: dict[str, str] = {}
    containers = [each for each in todo if each.kind == "container"]
    for together, each_of in (
        (16, [each for each in containers if not each.attached]),
        (1, [each for each in containers if each.attached]),
        (16, [each for each in todo if each.kind != "container"]),
    ):
        with ThreadPoolExecutor(together) as pool:
            said = pool.map(partial(_remove_one, engine), each_of)
            refused |= {each.name: why for each, why in zip(each_of, said, strict=True) if why}
    for name, why in refused.items():
        report(
            f"left behind: network {name}. Nothing is attached to it, and the engine says: {why}. "
            "Restart the engine (moby#42119); the next run, or make clean, removes it then"
        )
    return len(todo) - len(refused)


def reap(engine: Engine, report: Callable[[str], None] = lambda _: None) -> int:
    """Remove what dead runs of ours left behind and return how many objects that was."""
    mine = objects(engine, {OWNER_LABEL: owner()})
    count = 0
    for run_id in sorted({each.run for each in mine}):
        with _exclusively(run_id) as free:
            if not free:
                continue
            left = [each for each in mine if each.run == run_id and each.cluster not in kept(run_id)]
            if left:
                report(f"reaping {len(left)} objects that run {run_id} left behind")
                count += remove(engine, left, report)
    _forget_runs({each.run for each in mine})
    return count


def clean(engine: Engine, report: Callable[[str], None] = lambda _: None) -> int:
    """Remove every object of ours that no running run owns, kept clusters included; return how many."""
    count = 0
    mine = objects(engine, {OWNER_LABEL: owner()})
    for run_id in sorted({each.run for each in mine}):
        with _exclusively(run_id) as free:
            if not free:
                report(f"run {run_id} is running: left alone")
                continue
            left = [each for each in mine if each.run == run_id]
            removed = remove(engine, left, report)
            _keep_file(run_id).unlink(missing_ok=True)
            report(f"removed {removed} objects of run {run_id}")
            count += removed
    foreign = len(objects(engine)) - len(objects(engine, {OWNER_LABEL: owner()}))
    if foreign:
        report(f"left alone: {foreign} objects of another user or machine on this engine")
    _forget_runs(set())
    return count


def kept(run_id: str) -> frozenset[str]:
    """Return the names of the clusters that this run keeps."""
    try:
        return frozenset(_keep_file(run_id).read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return frozenset()


def is_running(run_id: str) -> bool:
    """True while a process of that run lives."""
    with _exclusively(run_id) as free:
        return not free


def release(run_id: str, cluster: str) -> None:
    """Keep this cluster no longer."""
    left = kept(run_id) - {cluster}
    if left:
        _keep_file(run_id).write_text("".join(f"{each}\n" for each in sorted(left)), encoding="utf-8")
    else:
        _keep_file(run_id).unlink(missing_ok=True)
        _forget_runs(set())


@contextmanager
def _exclusively(run_id: str) -> Iterator[bool]:
    """Hold the lock of a run whose processes are all gone; yields False where one is alive."""
    lock = os.open(_lock_file(run_id), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _forget_runs(still_needed: set[str]) -> None:
    for file in (state_dir() / "runs").glob("*.lock"):
        if file.stem not in still_needed and not _keep_file(file.stem).exists():
            with _exclusively(file.stem) as free:
                if free:
                    file.unlink(missing_ok=True)


def _remove_one(engine: Engine, doomed: DockerObject) -> str:
    """Remove it; return what the engine says of a network that it does not let go, though it shows nothing on it."""
    api: Any = engine.client.api
    seen: list[str] = []
    empty_since: list[float] = []
    given_up: list[str] = []

    def gone() -> bool:
        try:
            match doomed.kind:
                case "container":
                    api.remove_container(doomed.id, force=True, v=True)
                case "network":
                    api.remove_network(doomed.id)
                case "volume":
                    api.remove_volume(doomed.id, force=True)
        except docker.errors.NotFound:
            return True
        except docker.errors.APIError as problem:
            # 409: being removed by somebody else, or its user is just going; asked again until it is gone.
            seen[:] = [str(problem.explanation)]
            if doomed.kind == "network":
                attached = _detach_all(engine, doomed.id)
                seen.append(f"attached: {', '.join(attached) or 'nothing'}")
                if attached:
                    empty_since.clear()
                elif not empty_since:
                    empty_since.append(time.monotonic())
                elif time.monotonic() - empty_since[0] > MISCOUNT_SECONDS:
                    given_up.append(seen[0])
            return bool(given_up)
        except requests.exceptions.RequestException as problem:
            raise SimulationError(
                f"the engine did not remove {doomed.kind} {doomed.name}", observed=str(problem), advice="make clean"
            ) from None
        return True

    wait_until(gone, f"{doomed.kind} {doomed.name} removed", REMOVAL_SECONDS, shown=lambda: "; ".join(seen), poll=0.1)
    return given_up[0] if given_up else ""


def _detach_all(engine: Engine, network: str) -> list[str]:
    """Detach containers of ours that a dying engine left attached, and return the names of all that are.

    A foreign one is never touched.
    """
    api: Any = engine.client.api
    attached: dict[str, dict[str, str]] = {"unknown": {"Name": "unknown, as the engine does not say"}}
    try:
        attached = api.inspect_network(network)["Containers"] or {}
        ours = {each["Id"] for each in api.containers(all=True, filters={"label": MARK})}
        for container in set(attached) & ours:
            api.disconnect_container_from_network(container, network, force=True)
    except docker.errors.APIError:
        pass  # the next attempt to remove it says what is wrong
    return [endpoint["Name"] for endpoint in attached.values()]


def _runs_dir() -> Path:
    directory = state_dir() / "runs"
    directory.mkdir(exist_ok=True)
    return directory


def _lock_file(run_id: str) -> Path:
    return _runs_dir() / f"{run_id}.lock"


def _keep_file(run_id: str) -> Path:
    return _runs_dir() / f"{run_id}.keep"
