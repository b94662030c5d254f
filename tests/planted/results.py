"""Results: a pytest plugin that writes what became of each plant's test to a file of its own.

For scripts that run all plants: ``-p tests.planted.results --planted-results DIR``. A file each, so that
workers need not know of each other.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.planted.gate import Missed
from tests.planted.plant import Plant

FOLDER = "planted_results"


@dataclass(frozen=True)
class Result:
    """How a plant's test ended. ``missed``: it failed because its rule did not find it. ``failure`` is one line."""

    plant: str
    passed: bool
    missed: bool
    failure: str = ""
    seconds: float = 0.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("redis-gauntlet").addoption(
        "--planted-results", dest=FOLDER, type=Path, required=True, help="folder for the result of each plant"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    plant = plant_of(item)
    if plant is not None and (call.when == "call" or report.failed):
        error = call.excinfo.value if call.excinfo is not None else None
        failure = str(error).splitlines()[0] if error is not None and str(error) else type(error).__name__
        result = Result(
            plant.id, report.passed, isinstance(error, Missed), failure if error else "", round(report.duration, 1)
        )
        write(item.config, f"{plant.id}.json", asdict(result))
    return report


def plant_of(item: pytest.Item) -> Plant | None:
    """Return the plant that the test is of."""
    found = getattr(getattr(item, "callspec", None), "params", {}).get("plant")
    return found if isinstance(found, Plant) else None


def write(config: pytest.Config, name: str, value: object) -> None:
    """Write a file of the results' folder."""
    folder: Path = config.getoption(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def read_results(folder: Path) -> Iterator[Result]:
    """Yield what was written there."""
    for file in sorted(folder.glob("*.json")):
        if not file.name.endswith(".check.json"):
            yield Result(**json.loads(file.read_text(encoding="utf-8")))
