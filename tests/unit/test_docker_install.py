"""An engine is installed and started only where that is ours to do."""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from provisioning import apt, docker_engine, docker_install
from provisioning.docker_engine import Engine, EngineAbsent
from provisioning.errors import EngineError, GauntletError
from provisioning.state import held, state_dir

pytestmark = pytest.mark.unit


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What would have been installed; nothing is. The state directory is the test's own."""
    installed: list[str] = []
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(apt, "install", lambda *packages: installed.extend(packages))
    return installed


def fail_with(error: EngineError) -> object:
    def connect() -> Engine:
        raise error

    return connect


def test_chosen_engine_is_not_replaced(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DOCKER_HOST or a context points to a dead engine, none is installed beside it."""
    monkeypatch.setattr(docker_engine, "connect", fail_with(EngineError("dead")))
    with pytest.raises(EngineError, match="dead"):
        docker_install.ensure(print)
    assert calls == []


def test_no_right_to_install(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root and passwordless sudo the message says what to do, and nothing is tried."""
    monkeypatch.setattr(docker_engine, "connect", fail_with(EngineAbsent("nobody answers", observed="refused")))
    monkeypatch.setattr(apt, "root_prefix", lambda: None)
    with pytest.raises(EngineError, match="nobody answers") as caught:
        docker_install.ensure(print)
    assert "sudo" in caught.value.observed
    assert "DOCKER_HOST" in caught.value.advice
    assert calls == []


def test_dockerd_that_ends_at_once(calls: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine that does not come up is told with its own last words and where its log is."""
    daemon = tmp_path / "dockerd"
    daemon.write_text("#!/bin/sh\necho 'failed to start daemon: no such thing'\nexit 1\n")
    daemon.chmod(0o755)
    monkeypatch.setattr(docker_engine, "connect", fail_with(EngineAbsent("nobody answers")))
    monkeypatch.setattr(apt, "root_prefix", lambda: ())
    monkeypatch.setattr(docker_install, "dockerd", lambda: str(daemon))
    monkeypatch.setattr(docker_install, "under_systemd", lambda: False)
    monkeypatch.setattr(docker_install, "already_starting", lambda: False)
    with pytest.raises(EngineError, match="does not start") as caught:
        docker_install.ensure(print)
    assert caught.value.observed == "failed to start daemon: no such thing"
    assert "dockerd.log" in caught.value.advice


def check_waits_for(*holders: AbstractContextManager[None]) -> None:
    """Assert that who wants the lock alone has it once all of these have let go, and not before, and tells the wait."""
    waiting, entered = threading.Event(), threading.Event()

    def alone() -> None:
        with held("one", waiting.set):
            entered.set()

    thread = threading.Thread(target=alone)
    with ExitStack() as stack:
        for holder in holders:
            stack.enter_context(holder)
        thread.start()
        assert waiting.wait(5)
        assert not entered.is_set()
    thread.join(5)
    assert entered.is_set()


def test_lock_makes_the_second_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A lock that somebody holds is waited for, and the wait is told."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))
    check_waits_for(held("one"))


def test_those_who_share_a_lock_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who wants it alone waits for the last of them."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))

    def fails_to_wait() -> None:
        raise AssertionError("one who shares the lock waits")

    check_waits_for(held("one", shared=True), held("one", fails_to_wait, shared=True))


def test_state_directory_is_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The state directory is where the environment says, and only its owner may look into it."""
    monkeypatch.delenv("REDIS_GAUNTLET_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_dir() == tmp_path / "redis-gauntlet"
    assert state_dir().stat().st_mode & 0o777 == 0o700


def test_state_directory_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state directory that cannot be made is a message, not a traceback."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", "/dev/null/state")
    with pytest.raises(GauntletError, match="state directory"):
        state_dir()


@pytest.mark.slow
def test_unknown_package_is_a_message() -> None:
    """A package that apt does not have is a message with apt's own words; slow, as apt first reads its lists anew."""
    if not apt.can_install():
        pytest.skip("no right to install packages here")
    with pytest.raises(apt.PackageError) as caught:
        apt.install("no-such-package-of-ours")
    assert caught.value.observed.startswith("E: ")


def test_pid_files_of_the_dead_are_told_from_those_of_the_living(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A number that no process has, or that another program has by now, is stale; a running engine's is not."""
    own = Path("/proc/self/comm").read_text().strip()
    dead, reused, living = tmp_path / "dead", tmp_path / "reused", tmp_path / "living"
    dead.write_text("4194999")
    reused.write_text(str(os.getpid()))
    living.write_text(str(os.getpid()))
    files = {"dockerd": dead, "containerd": reused, own: living, "absent": tmp_path / "absent"}
    monkeypatch.setattr(docker_install, "PID_FILES", files)
    assert docker_install.stale_pid_files() == [dead, reused]
