"""One run of all plants' tests in a process of its own, with further plugins: what the scripts here have in common."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

RAN = (0, 1)
"""pytest's exit codes where it ran its tests, whether they passed or not."""


def run_plants(folder: Path, plugins: Iterable[str], arguments: Sequence[str]) -> int:
    """Run the tests, their results in ``folder``, and return pytest's exit code. Other arguments go to pytest."""
    command = [
        *(sys.executable, "-m", "pytest", "tests/planted/test_planted.py", "--quiet", "--tb=no", "-rN"),
        *("-p", "no:cacheprovider", "-p", "tests.planted.results", "--planted-results", str(folder)),
        *(word for plugin in plugins for word in ("-p", plugin)),
        *("--report", str(folder / "report"), *arguments),
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode
