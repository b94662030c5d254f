"""The Python environment: made from the lock, made anew when it is not right, left alone when it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.launched import ROOT, SECONDS

pytestmark = pytest.mark.unit

SCRIPT = Path("provisioning/setup/environment.sh")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree whose path has a space, with the script and a lock file that wants nothing."""
    root = tmp_path / "a tree"
    (root / SCRIPT).parent.mkdir(parents=True)
    shutil.copytree(ROOT / SCRIPT.parent, root / SCRIPT.parent, dirs_exist_ok=True)
    (root / "requirements.lock").write_text("# nothing\n")
    return root


def environment(tree: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(tree / SCRIPT)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def test_python_too_old(tree: Path, tmp_path: Path) -> None:
    """Where every Python is too old, one message names the version wanted and the one found."""
    fakes = tmp_path / "bin"
    fakes.mkdir()
    for name in ("python3", *(f"python3.{minor}" for minor in range(11, 16))):
        (fakes / name).write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
        (fakes / name).chmod(0o755)
    result = environment(tree, PATH=f"{fakes}:{os.environ['PATH']}", PYTHON="")
    assert result.returncode == 1
    assert "expected: Python 3.11" in result.stderr
    assert "observed: Python 3.9.2" in result.stderr
    assert not (tree / ".venv").exists()


def test_no_package_index(tree: Path) -> None:
    """Without a package index the message says so, and the unfinished environment is not taken for a whole one."""
    (tree / "requirements.lock").write_text(f"absent==1 --hash=sha256:{'0' * 64}\n")
    result = environment(tree, PIP_CONFIG_FILE="/dev/null", PIP_INDEX_URL="http://127.0.0.1:1/", PIP_FIND_LINKS="")
    assert result.returncode == 1
    assert "what to do: see that the package index can be reached" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tree / ".venv/.complete").exists()


def test_second_run_does_nothing_and_a_broken_one_is_mended(tree: Path) -> None:
    """A whole environment is left alone; after an interruption it is made anew."""
    assert environment(tree).returncode == 0
    python = tree / ".venv/bin/python"
    made = python.lstat().st_mtime_ns
    assert environment(tree).returncode == 0
    assert python.lstat().st_mtime_ns == made
    (tree / ".venv/.complete").unlink()
    shutil.rmtree(tree / ".venv/lib")
    assert environment(tree).returncode == 0
    assert subprocess.run([str(python), "-c", "import pip"], check=False).returncode == 0


def test_lock_names_no_index_and_no_path() -> None:
    """The lock file has a hash for every package and says nothing of where packages come from."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    options = {line.split()[0].split("=")[0] for line in lines if line.lstrip().startswith("-")}
    assert options == {"--hash"}
    assert not [line for line in lines if "://" in line or "file:" in line]
