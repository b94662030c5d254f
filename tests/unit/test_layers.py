"""Who may know whom: tests -> fixtures -> judge -> provisioning, and never back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]

FORBIDDEN = {
    "provisioning": ("pytest", "_pytest", "fixtures", "tests"),
    "fixtures/rules": ("pytest", "_pytest", "tests"),
    "fixtures/history": ("pytest", "_pytest", "tests"),
    "fixtures/report": ("pytest", "_pytest", "tests"),
    "fixtures": ("tests",),
}
"""Folder -> what no file in it may import."""

WIRE_WORDS = re.compile(r"slave|fail\?")
MAY_SAY = {
    "provisioning/cluster_nodes.py": "CLUSTER NODES",
    "provisioning/evidence/replication.py": "INFO replication",
    "provisioning/inventory.py": "the seed's node name redis_slave",
    "provisioning/ansible_inventory.py": "the seed's variables redis_slave_*",
    "provisioning/formation.py": "writes nodes.conf",
    "provisioning/cluster.py": "INFO replication",
}
"""File -> why the wire's words stand in it."""


@cache
def sources(folder: str) -> tuple[tuple[str, ast.Module], ...]:
    """Return every Python file below the folder, by its path in the repository."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return tuple((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def spoken(tree: ast.Module) -> Iterator[str]:
    """Yield the string literals that are no docstrings."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_keep_their_direction(folder: str) -> None:
    """No file imports what lies above it."""
    wrong = [
        f"{path} imports {name}"
        for path, tree in sources(folder)
        for name in imported(tree)
        if name.partition(".")[0] in FORBIDDEN[folder]
    ]
    assert wrong == []


def test_only_waiting_sleeps() -> None:
    """There is one wait in the whole repository, and no sleep beside it."""
    sleeping = {
        path
        for folder in ("provisioning", "fixtures", "tests")
        for path, tree in sources(folder)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr == "sleep")
        or (isinstance(node, ast.ImportFrom) and any(alias.name == "sleep" for alias in node.names))
    }
    assert sleeping <= {"provisioning/waiting.py"}


def test_wire_words_stay_at_the_wire() -> None:
    """Roles and flags have this project's names everywhere but where the wire is read or written."""
    saying = {
        path
        for folder in ("provisioning", "fixtures")
        for path, tree in sources(folder)
        if any(WIRE_WORDS.search(text) for text in spoken(tree))
    }
    assert saying - MAY_SAY.keys() == set()
