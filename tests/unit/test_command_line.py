"""A user's mistake is one message that says what to do, and a non-zero exit: never a traceback, never a silent skip."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning import playground
from provisioning.__main__ import main
from provisioning.ansible_inventory import DEFAULT_INVENTORY
from tests.launched import ROOT, SECONDS

pytestmark = pytest.mark.unit

DEAD = "tcp://127.0.0.1:1"
"""A DOCKER_HOST where nobody listens."""


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What connecting to an engine sets in the environment, and the handler of SIGTERM, are put back."""
    for name in ("DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def one_message(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail with one message on stderr, and return it."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("error: ") == 1
    assert error.startswith("error: ")
    assert "what to do:" in error
    assert "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("up --hosts 1", "another host than its master"),
        ("up --hosts 2", "less than half of the masters"),
        ("up --hosts 0", "1 host or more"),
        ("up --hosts 3 --replicas 3", "at most 2 replicas"),
        ("up --replicas -1", "0 replicas or more"),
        ("up --shards 2", "at least 3 shards"),
        ("up --shards 20000", "more than there are slots"),
        ("up --hosts 300 --shards 300", "at most 150 hosts"),
        ("up --node-timeout 0", "too short"),
        ("up --node-timeout -1", "too short"),
        ("up --inventory missing.yaml", "missing.yaml"),
        ("up --inventory .", "directory"),
        ("up --inventory Makefile", "Makefile"),
        ("up --inventory provisioning/inventory.yaml --hosts 3", "says the size already"),
    ],
)
def test_a_wanted_cluster_that_cannot_be_is_refused(
    arguments: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes, timeouts and inventories are judged before any engine is asked: a dead one is not even noticed."""
    monkeypatch.setenv("DOCKER_HOST", DEAD)
    monkeypatch.chdir(ROOT)
    assert says in one_message(capsys, *arguments.split())


@pytest.mark.parametrize(
    "arguments", ["up", "status", "status --json", "cli redis-host-1/redis_master PING", "down", "down --all", "clean"]
)
def test_a_dead_engine_is_one_message(
    arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command says which engine does not answer and who pointed there."""
    monkeypatch.setenv("DOCKER_HOST", DEAD)
    assert f"DOCKER_HOST={DEAD}" in one_message(capsys, *arguments.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("up", "--name", "BAD NAME"), "lower-case letters"),
        (("up", "--name", ""), "lower-case letters"),
        (("up", "--name", "../up"), "lower-case letters"),
        (("up", "--server-image", "nonsense:nowhere"), "nonsense:nowhere"),
        (("cli", "--name", "nothing", "redis-host-1/redis_master", "PING"), "no cluster named 'nothing'"),
        (("down", "--name", "nothing"), "no cluster named 'nothing'"),
        (("status", "--name", "nothing"), "no cluster named 'nothing'"),
    ],
)
def test_what_is_not_there_is_named(
    arguments: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is none, an image that nobody has, a cluster that is not up."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))
    assert says in one_message(capsys, *arguments)


def test_a_command_without_any_cluster_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cli` needs one cluster that is up; `status` of none is an answer."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path))
    assert "up: none" in one_message(capsys, "cli", "redis-host-1/redis_master", "PING")
    assert main(["status"]) == 0
    assert "no cluster is up" in capsys.readouterr().out


def test_a_name_is_never_a_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` removes the inventory of a cluster, and no other file that a strange name may point to."""
    monkeypatch.setenv("REDIS_GAUNTLET_STATE", str(tmp_path / "state"))
    precious = tmp_path / "precious.yaml"
    precious.write_text("x")
    assert playground.inventory_file("../../precious").resolve() == precious
    one_message(capsys, "down", "--name", "../../precious")
    assert precious.exists()


@pytest.mark.parametrize("arguments", ["", "nonsense", "up --hosts many", "up --reach never", "down --name x --all"])
def test_a_command_that_is_none_shows_the_usage(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown words end with the usage and argparse's exit code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert "usage: " in capsys.readouterr().err


def run_pytest(report: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--report={report}", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "",
            "REDIS_GAUNTLET_STATE": f"{report}-state",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """Return what a pytest run said that ended with one message: before any test, and with the usage exit code."""
    said = result.stdout + result.stderr
    assert result.returncode == 4, said
    assert "Traceback" not in said
    assert "what to do:" in said
    for outcome in (" passed", " failed", " skipped", " error", "no tests ran"):
        assert outcome not in said, said
    return said


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """An inventory of hosts that are not simulated, outside the repository."""
    file = tmp_path / "real.yaml"
    file.write_text(DEFAULT_INVENTORY.read_text(encoding="utf-8"), encoding="utf-8")
    return file


@pytest.fixture
def claimed(real: Path) -> Path:
    """An inventory that says it is simulated, of a cluster that does not exist."""
    text = real.read_text(encoding="utf-8")
    real.write_text(text.replace("redis_appendonly", "redis_gauntlet_simulation: elsewhere\n        redis_appendonly"))
    return real


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--inventory=missing.yaml",), "missing.yaml"),
        (("--inventory", "missing.yaml"), "missing.yaml"),
        (("--layout=Makefile",), "Makefile"),
        (("--inventory=provisioning/inventory.yaml", "--layout=provisioning/inventory.yaml"), "one or the other"),
        (("--inventory=provisioning/inventory.yaml", "--node-timeout=100"), "one or the other"),
        (("--node-timeout=0",), "too short"),
        (("-n", "2", "--inventory=provisioning/inventory.yaml"), "-n cannot be used with a real cluster"),
        (
            ("--tx", "2*popen", "--dist=load", "--inventory=provisioning/inventory.yaml"),
            "--tx cannot be used with a real cluster",
        ),
        (("--tx", "popen", "--inventory=provisioning/inventory.yaml"), "--tx cannot be used with a real cluster"),
        (("--dist=each", "--inventory=provisioning/inventory.yaml"), "--dist cannot be used with a real cluster"),
    ],
)
def test_pytest_refuses_options_that_cannot_be(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """A missing inventory, contradicting options, no timeout, or several workers on real hosts."""
    assert says in refusal(run_pytest(tmp_path / "report", *arguments, DOCKER_HOST=DEAD))


@pytest.mark.parametrize("arguments", [(), ("tests/topology",), ("-n", "2")], ids=" ".join)
def test_pytest_without_an_engine_is_one_message(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A dead engine ends the run at once: not skipped, not passed, and nothing collected in vain."""
    said = refusal(run_pytest(tmp_path / "report", *arguments, DOCKER_HOST=DEAD))
    assert f"DOCKER_HOST={DEAD}" in said


def test_pytest_with_an_unknown_image_is_one_message(tmp_path: Path) -> None:
    """An image that is neither here nor to be pulled is named."""
    said = refusal(run_pytest(tmp_path / "report", "--server-image=nonsense:nowhere", "tests/topology"))
    assert "nonsense:nowhere" in said


def test_a_claimed_simulation_is_not_believed(claimed: Path, tmp_path: Path) -> None:
    """An inventory that merely says it is simulated ends the run before anything is written anywhere."""
    said = refusal(run_pytest(tmp_path / "report", f"--inventory={claimed}", "tests/topology"))
    assert "'elsewhere' is not on this engine" in said


def test_a_report_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """A place for the reports that is below a file is named, with what to do."""
    (tmp_path / "file").touch()
    said = refusal(run_pytest(tmp_path / "file" / "report", "tests/unit/test_slots.py", DOCKER_HOST=DEAD))
    assert f"--report {tmp_path}/file/report cannot be written" in said
    assert "what to do: name another one" in said


def collected(*arguments: str, report: Path) -> set[str]:
    """Return the ids of the tests that would run."""
    result = run_pytest(report, "--collect-only", "-q", *arguments, DOCKER_HOST=DEAD)
    assert result.returncode == 0, result.stdout + result.stderr
    return {line for line in result.stdout.splitlines() if "::" in line}


def test_nothing_destructive_is_left_for_real_hosts(real: Path, tmp_path: Path) -> None:
    """With an inventory of real hosts every destructive test is deselected, and no reading test is."""
    folders = [f"tests/{name}" for name in ("hosts", "topology", "redirection", "placement", "failover")]
    chosen = collected(f"--inventory={real}", *folders, report=tmp_path / "report")
    reading = collected("-m", "not destructive", *folders, report=tmp_path / "report")
    assert chosen == reading
    assert chosen


def test_a_marker_cannot_bring_a_destructive_test_back(real: Path, tmp_path: Path) -> None:
    """Asking for destructive tests by marker on real hosts runs none: exit code 5, nothing collected."""
    result = run_pytest(
        tmp_path / "report", "--collect-only", "-q", "-m", "destructive", f"--inventory={real}", "tests/failover"
    )
    assert result.returncode == 5
    assert "::" not in result.stdout
    assert "deselected" in result.stdout


@pytest.mark.parametrize("option", ["--inventory", "--layout"])
def test_an_inventory_may_be_anywhere(real: Path, tmp_path: Path, option: str) -> None:
    """The environment's pytest takes an inventory outside the checkout, with no test named, for what it is."""
    launcher = ROOT / ".venv/bin/pytest"
    if Path(sys.executable).parent != launcher.parent:
        pytest.skip("run from another environment than make's")
    result = subprocess.run(
        [launcher, option, str(real), "--collect-only", "-q", "--report", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    assert "tests collected" in result.stdout
