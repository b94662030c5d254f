"""A run's exit code and report.json say the same, with workers and without, however its tests end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_command_line import run_pytest

pytestmark = pytest.mark.unit

TESTS = "tests/unit/test_server_log.py"
"""Quick ones that need nothing."""

PLUGIN = """
import pytest

from provisioning.errors import *


def pytest_collection_modifyitems(items):
    for item in items:
        item.user_properties.append(("promise", "PROMISE"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    ENDS
"""
"""Makes every test one about that promise, and end so."""


def run(tmp_path: Path, ends: str, *arguments: str, promise: str = "failover") -> tuple[int, dict[str, Any]]:
    """Run TESTS, each of which ends so, and return the exit code and the document."""
    (tmp_path / "ending.py").write_text(PLUGIN.replace("ENDS", ends).replace("PROMISE", promise), encoding="utf-8")
    result = run_pytest(
        tmp_path / "report",
        TESTS,
        "-p",
        "ending",
        *arguments,
        PYTHONPATH=str(tmp_path),
        DOCKER_HOST="tcp://127.0.0.1:1",
    )
    document = json.loads((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert document["exit_status"] == result.returncode, result.stdout + result.stderr
    return result.returncode, document


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["", "workers"])
@pytest.mark.parametrize(
    ("ends", "code", "verdict", "kept_as"),
    [
        ("pass", 0, "holds", "passed"),
        ("assert item.name == 'FaultError'", 1, "violated", "failed"),
        ("raise KeyError('NodeUnreachable')", 1, "violated", "failed"),
        ("raise FaultError('x')", 1, "unknown", "errors"),
        ("raise EvidenceMissing('AssertionError')", 1, "unknown", "errors"),
        ("pytest.skip('x')", 1, "unknown", "skipped"),
    ],
)
def test_the_verdict_follows_from_how_tests_end(
    ends: str, code: int, verdict: str, kept_as: str, workers: tuple[str, ...], tmp_path: Path
) -> None:
    """All passed, a broken promise, a test that could not be carried out, and nothing but skipped ones."""
    found, document = run(tmp_path, ends, *workers)
    assert (found, document["verdict"]) == (code, verdict)
    kinds = ("passed", "failed", "errors", "skipped")
    assert [kind for kind in kinds if document["tests"][kind]] == [kept_as]


def test_a_run_of_unit_tests_judges_nothing(tmp_path: Path) -> None:
    """They pass, with exit code 0, and the verdict on the target is unknown."""
    code, document = run(tmp_path, "pass", promise="unit")
    assert (code, document["verdict"]) == (0, "unknown")
    assert document["tests"]["passed"] > 0


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ("if item is item.session.items[-1]: raise KeyboardInterrupt", "unknown"),
        ("if item is item.session.items[-1]: raise KeyboardInterrupt\n    assert 0", "violated"),
        ("if item is item.session.items[-1]: pytest.exit('enough')", "unknown"),
    ],
    ids=["interrupted", "interrupted after failures", "ended by pytest.exit"],
)
def test_an_interrupted_run_never_holds(ends: str, verdict: str, tmp_path: Path) -> None:
    """Whatever had passed before."""
    code, document = run(tmp_path, ends)
    assert (code, document["verdict"]) == (2, verdict)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["", "workers"])
def test_what_was_left_out_is_counted(workers: tuple[str, ...], tmp_path: Path) -> None:
    """Deselected tests are in the report, once, however many workers there are."""
    _, whole = run(tmp_path, "pass", *workers)
    code, part = run(tmp_path, "pass", *workers, "-k", "clock or time")
    assert code == 0
    assert whole["tests"]["deselected"] == 0
    assert 0 < part["tests"]["deselected"] == whole["tests"]["passed"] - part["tests"]["passed"]
