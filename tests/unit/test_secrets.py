"""A password that Redis refuses, or that a test prints, shows or asserts on, stands in nothing that a run writes."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.unit.test_command_line import run_pytest

pytestmark = pytest.mark.unit

SECRET = "S3CRETpw"

CARELESS = f"""
import pytest

from provisioning.resp import Connection


def test_a_call(cluster):
    cluster.call(cluster.inventory.nodes[0], "PING")


def test_a_client(cluster):
    cluster.client().ping()


def test_a_local_variable(cluster):
    password = cluster.inventory.nodes[0].password
    assert not password


def test_without_a_cluster():
    print({SECRET!r})
    raise RuntimeError({SECRET!r})


def test_that_passes():
    print({SECRET!r})


def test_that_is_skipped():
    pytest.skip({SECRET!r})


def test_a_record(cluster, record):
    record("evidence", {{"config": {SECRET!r}}})


@pytest.fixture
def broken(cluster):
    yield
    raise RuntimeError(cluster.inventory.nodes[0].password)


def test_teardown(broken):
    pass
"""
"""Every way in which a test might give a password away."""


class Server(socketserver.ThreadingTCPServer):
    """Refuses every login with WRONGPASS; with ``lets_in`` it takes any, but says no more than the time."""

    daemon_threads = True
    block_on_close = False
    lets_in = False

    def answer(self, command: bytes) -> bytes:
        if command == b"AUTH":
            return b"+OK" if self.lets_in else b"-WRONGPASS invalid username-password pair"
        if not self.lets_in:
            return b"-NOAUTH Authentication required."
        return b"*2\r\n$1\r\n1\r\n$1\r\n1" if command == b"TIME" else b"-NOPERM no permissions to run the command"


class Answering(socketserver.StreamRequestHandler):
    """Reads commands and sends its server's answers."""

    def handle(self) -> None:
        assert isinstance(self.server, Server)
        while header := self.rfile.readline():
            words = []
            for _ in range(int(header[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].upper())
            self.wfile.write(self.server.answer(words[0]) + b"\r\n")


@pytest.fixture
def nodes() -> Iterator[tuple[Server, ...]]:
    """Three nodes on loopback, each at an address of its own, that refuse every password."""
    with ExitStack() as stack:
        servers = []
        for n in (1, 2, 3):
            try:
                server = stack.enter_context(Server((f"127.0.0.{n}", 0), Answering))
            except OSError:
                pytest.skip(f"127.0.0.{n} is not an address of this machine")
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
            servers.append(server)
        yield tuple(servers)


@pytest.fixture
def inventory(nodes: tuple[Server, ...], tmp_path: Path) -> Path:
    """The inventory of these nodes, as one of real hosts, with the password."""
    return inventory_of(nodes, tmp_path, {"redis_password": SECRET})


def inventory_of(nodes: tuple[Server, ...], folder: Path, login: dict[str, str]) -> Path:
    """Write the inventory of these nodes, as one of real hosts."""
    hosts = {}
    for n, server in enumerate(nodes, 1):
        node = {"name": "redis_master", "role": "master", "port": server.server_address[1], "bus_port": 1}
        hosts[f"host-{n}"] = {"redis_address": f"127.0.0.{n}", "redis_nodes": [node]}
    shared = {"redis_node_timeout": 100, **login}
    file = folder / "real.yaml"
    file.write_text(yaml.safe_dump({"all": {"vars": shared, "hosts": hosts}}), encoding="utf-8")
    return file


@pytest.mark.parametrize("shown", [("-p", "no:xdist"), ("--showlocals",), ("--tb=native",)], ids=" ".join)
def test_a_careless_test_gives_nothing_away(
    nodes: tuple[Server, ...], inventory: Path, tmp_path: Path, shown: tuple[str, ...]
) -> None:
    """Terminal, junit.xml, report.html, report.json and the evidence of failures: the password is in none."""
    nodes[-1].lets_in = True
    careless = tmp_path / "test_careless.py"
    careless.write_text(CARELESS, encoding="utf-8")
    placed = ("-c", "pytest.ini", "--rootdir", ".", "-p", "conftest")
    options = (*shown, "-rA", "-o", "junit_logging=all")
    written = written_by(tmp_path / "report", 1, str(careless), f"--inventory={inventory}", *placed, *options)
    assert any(name.startswith("failures/") for name in written)
    for name in ("terminal", "junit.xml", "report.html", "report.json"):
        assert "WRONGPASS" in written[name]
        assert "masked" in written[name]


def test_the_suites_own_tests_give_nothing_away(nodes: tuple[Server, ...], inventory: Path, tmp_path: Path) -> None:
    """With a password that two of three nodes refuse no rule holds, and no report says which password it was."""
    nodes[-1].lets_in = True
    arguments = ("tests/topology", f"--inventory={inventory}", "--showlocals", "-rA")
    assert "WRONGPASS" in written_by(tmp_path / "report", 1, *arguments)["terminal"]


def test_a_password_that_all_refuse_is_not_named(inventory: Path, tmp_path: Path) -> None:
    """The one message of a run that cannot begin says why, and not with which password."""
    assert "WRONGPASS" in written_by(tmp_path / "report", 4, "tests/topology", f"--inventory={inventory}")["terminal"]


def test_a_password_of_the_environment_gives_nothing_away(nodes: tuple[Server, ...], tmp_path: Path) -> None:
    """Nor does one that the inventory leaves to the environment, whatever user it is of."""
    nodes[-1].lets_in = True
    file = inventory_of(nodes, tmp_path, {})
    arguments = ("tests/topology", f"--inventory={file}", "--showlocals", "-rA")
    login = {"REDIS_GAUNTLET_USER": "ada", "REDIS_GAUNTLET_PASSWORD": SECRET}
    assert "WRONGPASS" in written_by(tmp_path / "report", 1, *arguments, **login)["terminal"]


def written_by(report: Path, code: int, *arguments: str, **environment: str) -> dict[str, str]:
    """Run pytest, which must end with this code, and return all that it wrote, by file: nothing has the password."""
    result = run_pytest(report, *arguments, DOCKER_HOST="tcp://127.0.0.1:1", **environment)
    said = result.stdout + result.stderr
    assert result.returncode == code, said
    written = {"terminal": said} | {
        str(file.relative_to(report)): file.read_text(encoding="utf-8") for file in report.rglob("*") if file.is_file()
    }
    assert [name for name, text in written.items() if SECRET in text] == []
    return written
