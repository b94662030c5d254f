"""A run of the playbook as its user starts it, and what it says in the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = ROOT / "provisioning" / "playbook.yaml"
TEARDOWN = ROOT / "provisioning" / "teardown.yaml"
COMMAND = Path(sys.executable).with_name("ansible-playbook")

PLAY_SECONDS = 400
"""Budget for one run: 35 to 60 s from nothing on an idle machine."""

ENVIRONMENT = {
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
    "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=10s",
}
"""Nothing but form and speed: what a host is, and how it is entered, stands in the inventory."""

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
    def rolled(self) -> list[str]:
        """The nodes that were changed one at a time, in their order."""
        return re.findall(r"^TASK \[redis : Change (\S+)\]", self.output, re.MULTILINE)


def play(
    inventory: Path,
    password: str,
    *arguments: str,
    playbook: Path = PLAYBOOK,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Played:
    """Run the playbook; the password, if there is one, is in the environment.

    ``environment`` is added to it. A run that hangs is an error (subprocess's).
    """
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANSIBLE_") and name != "REDIS_GAUNTLET_PASSWORD"
    }
    login = {"REDIS_GAUNTLET_PASSWORD": password} if password else {}
    began = time.monotonic()
    ended = subprocess.run(
        [str(COMMAND), "-i", str(inventory), str(playbook), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**known, **ENVIRONMENT, **login, **environment},
        timeout=PLAY_SECONDS,
        check=False,
    )
    return Played(ended.returncode, ended.stdout, time.monotonic() - began)
