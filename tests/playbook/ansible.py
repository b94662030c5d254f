"""A run of the playbook as its user starts it, and what it says in the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = ROOT / "provisioning" / "playbook.yaml"
TEARDOWN = ROOT / "provisioning" / "teardown.yaml"
COMMAND = Path(sys.executable).with_name("ansible-playbook")

PLAY_SECONDS = 1500
"""A run that takes longer hangs: 35 to 60 s from nothing on an idle machine, 500 s at a load of 20 on two cores."""

ENVIRONMENT = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
    "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=10s",
}
"""Nothing but form and speed: what a host is, and how it is entered, stands in the inventory."""

Disturbance = Callable[[subprocess.Popen[str]], None]
"""What is done to a run, or to what it works on, while it waits for that."""

RECAP = re.compile(r"^(\S+)\s+: ((?:\w+=\d+\s*)+)$", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """How a run ended."""

    code: int
    output: str
    seconds: float

    @cached_property
    def recap(self) -> Mapping[str, Mapping[str, int]]:
        """Host -> ok, changed, unreachable, failed, ... -> how many tasks."""
        return {
            host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", counts)}
            for host, counts in RECAP.findall(self.output)
        }

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all hosts."""
        return sum(each["changed"] for each in self.recap.values())

    @property
    def idle(self) -> bool:
        """True for a run that found everything as it should be: it ended well and changed nothing."""
        return (self.code, self.changed, self.rolled) == (0, 0, [])

    @property
    def rolled(self) -> list[str]:
        """The nodes that were changed one at a time, in their order."""
        return re.findall(r"^TASK \[redis : Change (\S+)\]", self.output, re.MULTILINE)


def play(
    inventory: Path,
    password: str,
    *arguments: str,
    playbook: Path = PLAYBOOK,
    environment: Mapping[str, str] = MappingProxyType({}),
    at: Mapping[str, Disturbance] = MappingProxyType({}),
) -> Played:
    """Run the playbook; the password, if there is one, is in the environment.

    ``environment`` is added to it. ``at``: what happens once, when a line with that text is printed; the run's
    output waits meanwhile. Raises AssertionError for a run that hangs, which is killed, and for a text that was never
    printed.
    """
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANSIBLE_") and name != "REDIS_GAUNTLET_PASSWORD"
    }
    login = {"REDIS_GAUNTLET_PASSWORD": password} if password else {}
    began = time.monotonic()
    running = subprocess.Popen(
        [*with_us(os.getpid()), str(COMMAND), "-i", str(inventory), str(playbook), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**known, **ENVIRONMENT, **login, **environment},
        start_new_session=True,
    )
    hanging = threading.Timer(PLAY_SECONDS, kill, [running])
    hanging.start()
    waiting, said = dict(at), []
    try:
        for line in running.stdout or ():
            said.append(line)
            for text in [text for text in waiting if text in line]:
                waiting.pop(text)(running)
        running.wait()
    finally:
        hanging.cancel()
        if running.poll() is None:
            kill(running)
    seconds = time.monotonic() - began
    assert seconds < PLAY_SECONDS, f"the playbook hangs: killed after {PLAY_SECONDS} s\n{''.join(said)}"
    assert not waiting, f"never printed: {', '.join(waiting)}\n{''.join(said)}"
    return Played(running.returncode, "".join(said), seconds)


def with_us(starter: int) -> tuple[str, ...]:
    """Return what a command begins with that ends with its starter, a process id, also where that is killed.

    Alone a run would wait for ever for hosts that are gone. Where the starter has died before the kernel was told, it
    does not begin.
    """
    return ("setpriv", "--pdeathsig", "KILL", "sh", "-c", f'[ "$PPID" = {starter} ] && exec "$@"', "sh")


def kill(run: subprocess.Popen[str]) -> None:
    """Kill the run and every process of it here; what it has begun on a host goes on there.

    Its workers are sessions of their own: they are found by whose children they are, while nobody can start more.
    """
    stopped: list[int] = []
    found = [run.pid]
    while found:
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        stopped += found
        found = [child for process in found for child in _children(process)]
    for process in stopped:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    run.wait()


def _children(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children")
    with suppress(OSError):  # it has ended since
        return [int(each) for each in children.read_text(encoding="ascii").split()]
    return []
