"""Where hosts with engines cannot be built that is tried, said in one line, and no pass in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.launched import Launched, launched

pytestmark = pytest.mark.slow

NEEDS_HOSTS = "tests/playbook/test_incident.py"


def run_without_rights(folder: Path, *arguments: str, ci: str = "") -> Launched:
    """Run tests that need such hosts on a machine that may not make them."""
    return launched(folder, "-p", "tests.playbook.without_rights", NEEDS_HOSTS, *arguments, environment={"CI": ci})


def reasons(run: Launched) -> set[str]:
    """Return why hosts could not be built, as the report says it."""
    document = run.document["tests"]
    said = {**document["skipped"], **document["failed"], **document["errors"]}
    assert len(said) > 1, run.said
    return set(said.values())


def test_it_is_said_in_one_line_with_what_was_tried(tmp_path: Path) -> None:
    """Outside CI such tests are skipped; the line has what the probe's container said."""
    run = run_without_rights(tmp_path)
    assert run.code == 0, run.said
    (why,) = reasons(run)
    assert "hosts with engines cannot be built: in such a container: " in why
    assert "permission denied" in why.lower() or "not permitted" in why.lower(), why
    assert len(why.strip().splitlines()) == 1


def test_it_fails_under_ci(tmp_path: Path) -> None:
    """A gate that left them out without a word would be none."""
    run = run_without_rights(tmp_path, ci="true")
    assert run.code == 1, run.said
    assert run.document["verdict"] == "unknown"
    (why,) = reasons(run)
    assert "hosts with engines cannot be built: in such a container: " in why
    assert "(--without-engines accepts that)" in why


def test_it_can_be_accepted(tmp_path: Path) -> None:
    """By name."""
    run = run_without_rights(tmp_path, "--without-engines", ci="true")
    assert run.code == 0, run.said
    assert len(reasons(run)) == 1
