"""A run of the suite as its launcher starts it, and everything that it leaves: exit code, terminal, reports."""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fixtures.options import EVIDENCE_FILE

ROOT = Path(__file__).resolve().parents[1]

LAUNCHER = ("-m", "pytest", "-c", str(ROOT / "pytest.ini"), "-p", "fixtures.options")
"""What provisioning/setup/pytest.sh calls Python with."""

SECONDS = 600
"""A run that takes longer hangs: seconds on an idle machine, many times that on a loaded one."""

WITHOUT_ENGINE = {"DOCKER_HOST": "unix:///nonexistent", "PATH": "/nonexistent"}
"""No engine answers, and there is no docker command."""


@dataclass(frozen=True)
class Launched:
    """How a run ended. ``report`` is its report directory, ``seconds`` the time that it took."""

    code: int
    output: str
    errors: str
    report: Path
    seconds: float

    @property
    def said(self) -> str:
        """Everything in the terminal."""
        return self.output + self.errors

    @cached_property
    def document(self) -> dict[str, Any]:
        """report.json."""
        found: dict[str, Any] = json.loads((self.report / "report.json").read_text(encoding="utf-8"))
        return found

    @property
    def evidence(self) -> Path:
        return self.report / EVIDENCE_FILE

    @property
    def found(self) -> set[tuple[str, str]]:
        """Rule and subject of every finding."""
        return {(each["rule"], each["subject"]) for each in self.document["findings"]}

    @property
    def undecided(self) -> dict[str, str]:
        """Rule -> the first reason why it could not be decided."""
        return {each["rule"]: each["why"] for each in reversed(self.document["not_collected"])}

    @cached_property
    def cases(self) -> dict[str, ElementTree.Element]:
        """JUnit's testcases of rules, by the rule's id."""
        tree = ElementTree.parse(self.report / "junit.xml")
        named = ((str(case.get("name")), case) for case in tree.iter("testcase"))
        return {
            name.removeprefix("test_no_finding[").removesuffix("]"): case
            for name, case in named
            if name.startswith("test_no_finding[")
        }

    def of_kind(self, kind: str) -> set[str]:
        """Return the ids of the rules whose testcase has that element: failure, error, skipped."""
        return {rule for rule, case in self.cases.items() if case.find(kind) is not None}

    def message(self, rule: str, kind: str) -> str:
        """Return what that element of the rule's testcase says, empty where there is none."""
        found = self.cases[rule].find(kind)
        return "" if found is None else f"{found.get('message')}\n{found.text}"

    def holding(self, text: str) -> list[str]:
        """Return where that text stands: files of the report, and the terminal."""
        files = [path for path in self.report.rglob("*") if path.is_file()]
        found = [str(path) for path in files if text.encode() in path.read_bytes()]
        return [*found, "terminal"] if text in self.said else found

    @property
    def is_refusal(self) -> bool:
        """True for one message with something to do, before any test, and pytest's exit code for bad input."""
        ran = re.search(r"\d (passed|failed|skipped|error)|no tests ran|Traceback", self.said)
        return self.code == 4 and not ran and self.said.count("what to do:") == 1


def launched(
    folder: Path,
    *arguments: str | Path,
    at: Path = ROOT,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Launched:
    """Run the suite with its report in ``folder/report``, called from ``at``.

    Its environment is this process's, without what is meant for this run, and ``environment``.
    """
    module = (*LAUNCHER, "-p", "no:cacheprovider", "--report", folder / "report")
    return _ended(folder, (*module, *arguments), at, environment)


def provisioning(
    folder: Path, *arguments: str | Path, environment: Mapping[str, str] = MappingProxyType({})
) -> Launched:
    """Run ``python -m provisioning``."""
    return _ended(folder, ("-m", "provisioning", *arguments), ROOT, environment)


def _ended(folder: Path, arguments: Iterable[str | Path], at: Path, environment: Mapping[str, str]) -> Launched:
    folder.mkdir(exist_ok=True)
    left_out = ("PYTEST_", "REDIS_GAUNTLET_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    ours = {"PYTHONPATH": str(ROOT), "REDIS_GAUNTLET_STATE": str(folder / "state"), **_bytecode()}
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=at,
        env={**inherited, **ours, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=SECONDS,
    )
    return Launched(ended.returncode, ended.stdout, ended.stderr, folder / "report", time.monotonic() - began)


@cache
def _bytecode() -> Mapping[str, str]:
    """Let the runs of a process that keeps no bytecode keep theirs, as a user's do: compiling takes twice as long."""
    if not sys.dont_write_bytecode:
        return {}
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return {"PYTHONPYCACHEPREFIX": folder.name, "PYTHONDONTWRITEBYTECODE": ""}
