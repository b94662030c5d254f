"""A run of the playbook that a test starts does not outlive the test, and one that hangs is said to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from provisioning.waiting import wait_until
from tests.playbook import ansible
from tests.playbook.ansible import ROOT, play, with_us

pytestmark = pytest.mark.unit

STARTER = """
import os, subprocess
from tests.playbook.ansible import with_us
print(subprocess.Popen([*with_us(os.getpid()), "sleep", "60"]).pid, flush=True)
input()
"""


def test_it_ends_with_who_started_it() -> None:
    """Also where that is killed, and can end nothing any more."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    with starter:
        assert starter.stdout is not None
        started = Path("/proc", starter.stdout.readline().strip())
        wait_until(lambda: b"sleep" in (started / "cmdline").read_bytes(), "a run that has begun", 10.0)
        starter.send_signal(signal.SIGKILL)
    wait_until(lambda: not started.exists() or "Z" in state(started), "the end of what it started", 10.0)


def state(process: Path) -> str:
    """Return the letter of the state of a process, nothing where it has gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_it_does_not_begin_without_who_started_it() -> None:
    """Who was killed right before the kernel was told of it: there is nobody to end with."""
    for starter, said in ((os.getpid(), "begun\n"), (os.getppid(), "")):
        run = subprocess.run([*with_us(starter), "echo", "begun"], capture_output=True, text=True, check=False)
        assert (run.stdout, run.stderr) == (said, "")


def test_one_that_hangs_is_killed_and_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it had printed by then: a bare exit code of -9 would be taken for another test's kill."""
    hanging = tmp_path / "ansible-playbook"
    hanging.write_text("#!/bin/sh\necho TASK that hangs\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(ansible, "COMMAND", hanging)
    monkeypatch.setattr(ansible, "PLAY_SECONDS", 1)
    with pytest.raises(AssertionError, match="hangs: killed after 1 s\nTASK that hangs"):
        play(tmp_path / "inventory.yaml", "")
