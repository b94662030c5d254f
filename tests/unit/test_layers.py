"""Who may know whom: tests -> fixtures' glue -> judge (rules, history, report) -> provisioning, and never back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]

OURS = ("provisioning", "fixtures", "tests")
JUDGE = ("fixtures.rules", "fixtures.history", "fixtures.report")

MAY_IMPORT = {
    "provisioning": ("provisioning",),
    **dict.fromkeys((each.replace(".", "/") for each in JUDGE), ("provisioning", *JUDGE)),
    "fixtures": ("provisioning", "fixtures"),
    "tests": OURS,
}
"""Folder -> which packages of ours a file in it may import: the row of its innermost folder counts."""

WITH_PYTEST = ("fixtures", "tests")
"""The rows whose files may import pytest: the glue and the tests."""

WIRE_WORDS = re.compile(r"slave|fail\?")
MAY_SAY = {
    "provisioning/cluster_nodes.py": "CLUSTER NODES",
    "provisioning/evidence/replication.py": "INFO replication",
    "provisioning/inventory.py": "the seed's node name redis_slave",
    "provisioning/ansible_inventory.py": "the seed's variables redis_slave_*",
    "provisioning/ansible_hosts.py": "the same",
    "provisioning/engine_hosts.py": "the same",
    "provisioning/planned_inventory.py": "the seed's node name redis_slave",
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
            # `from fixtures import options` names a module behind the import; `from x import name` does no harm.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def spoken(tree: ast.Module) -> Iterator[str]:
    """Yield the string literals that are no docstrings."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def row_of(path: str) -> str:
    """Return the innermost folder of the table that the file is in."""
    return max((folder for folder in MAY_IMPORT if path.startswith(folder + "/")), key=len)


def within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(each + ".") for each in packages)


def refused(path: str, tree: ast.Module) -> list[str]:
    """Return what the file imports and may not."""
    row = row_of(path)
    return [
        f"{path} imports {name}"
        for name in imported(tree)
        if (within(name, OURS) and not within(name, MAY_IMPORT[row]))
        or (within(name, ("pytest", "_pytest")) and row not in WITH_PYTEST)
    ]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_keep_their_direction(folder: str) -> None:
    """Every file imports, of ours, only what its row of the table allows."""
    files = [(path, tree) for path, tree in sources(folder) if row_of(path) == folder]
    assert files
    assert [wrong for path, tree in files for wrong in refused(path, tree)] == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("provisioning/x.py", "from fixtures.rules import judge"),
        ("provisioning/evidence/x.py", "import pytest"),
        ("fixtures/rules/x.py", "from fixtures.cluster import Supply"),
        ("fixtures/rules/x.py", "from fixtures import options"),
        ("fixtures/rules/x.py", "import fixtures.target"),
        ("fixtures/history/x.py", "from _pytest.nodes import Item"),
        ("fixtures/report/x.py", "from tests.dataset import fill"),
        ("fixtures/report/x.py", "def f():\n    from fixtures.reporting import record"),
        ("fixtures/x.py", "import tests.dataset"),
    ],
)
def test_what_goes_against_the_direction_is_noticed(path: str, line: str) -> None:
    """The table refuses each of these."""
    assert refused(path, ast.parse(line))


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


def hurried(path: str, tree: ast.Module) -> list[str]:
    """Return the tests with Hypothesis that are not told by ``tests.examples`` how many examples they get."""
    told = {"examples"} | {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value) == "examples"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return [
        f"{path}: {node.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and "given" in (names := {_name(each) for each in node.decorator_list})
        and not names & told
    ]


def _name(decorator: ast.expr) -> str:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return function.id if isinstance(function, ast.Name) else ""


def test_no_example_has_to_hurry() -> None:
    """Every test with Hypothesis has its settings from one place, where no limit is a busy machine's to break."""
    assert [wrong for path, tree in sources("tests") for wrong in hurried(path, tree)] == []
    assert hurried("x.py", ast.parse("@given(st.text())\ndef test_x(text): pass")) == ["x.py: test_x"]
    assert hurried("x.py", ast.parse("@settings(deadline=1)\n@given(st.text())\ndef test_x(text): pass")) != []
    assert hurried("x.py", ast.parse("few = examples(5)\n@few\n@given(st.text())\ndef test_x(text): pass")) == []


def test_wire_words_stay_at_the_wire() -> None:
    """Roles and flags have this project's names everywhere but where the wire is read or written."""
    saying = {
        path
        for folder in ("provisioning", "fixtures")
        for path, tree in sources(folder)
        if any(WIRE_WORDS.search(text) for text in spoken(tree))
    }
    assert saying - MAY_SAY.keys() == set()
