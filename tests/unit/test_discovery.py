"""From one node the whole cluster is found: every node once, under its own name, and who is silent too."""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import hiredis
import pytest

from provisioning import discovery
from provisioning.discovery import DEFAULT_NODE_TIMEOUT_MS, MOST_NODES, Seed, discovered
from provisioning.errors import GauntletError, NodeUnreachable
from provisioning.inventory import Inventory
from provisioning.login import Login

pytestmark = pytest.mark.unit

PASSWORD = "secret-of-the-test"
CLOSED = "127.0.0.1:1"


class Speaker(socketserver.ThreadingTCPServer):
    """A server on loopback that answers CLUSTER NODES with what it was told, as a node would."""

    daemon_threads = True

    def __init__(self, ip: str) -> None:
        self.lines: list[str] = []
        self.refusal = ""
        self.timeout_ms = ""
        self.is_silent = False
        self.logins: list[tuple[str, ...]] = []
        super().__init__((ip, 0), Answering)

    @property
    def address(self) -> str:
        return f"{self.server_address[0]!s}:{self.server_address[1]}"

    def answer(self, words: tuple[str, ...]) -> bytes:
        if words[0] == "AUTH":
            self.logins.append(words[1:])
            return b"+OK\r\n"
        if self.refusal:
            return f"-{self.refusal}\r\n".encode()
        if words[:2] == ("CLUSTER", "NODES"):
            text = "".join(f"{each}\n" for each in self.lines).encode()
            return b"$%d\r\n%s\r\n" % (len(text), text)
        if words == ("CONFIG", "GET", "cluster-node-timeout") and self.timeout_ms:
            return b"*2\r\n$20\r\ncluster-node-timeout\r\n$%d\r\n%s\r\n" % (
                len(self.timeout_ms),
                self.timeout_ms.encode(),
            )
        return b"-NOPERM this user may not\r\n"


class Answering(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        assert isinstance(server, Speaker)
        reader = hiredis.Reader(encoding="utf-8")
        while received := self.request.recv(65536):
            reader.feed(received)
            while (words := reader.gets()) is not False:
                if not server.is_silent:
                    self.request.sendall(server.answer(tuple(words)))


@contextmanager
def speaking(count: int) -> Iterator[list[Speaker]]:
    """Yield that many servers, each at an address of its own."""
    with ExitStack() as stack:
        servers = [stack.enter_context(Speaker(f"127.0.0.{n}")) for n in range(1, count + 1)]
        for each in servers:
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            stack.callback(each.shutdown)
        yield servers


def node_id(number: int) -> str:
    return f"{number:040x}"


def line(number: int, address: str, flags: str = "master", master: str = "-", slots: str = "") -> str:
    port = int(address.rpartition(":")[2])
    return f"{node_id(number)} {address}@{port} {flags} {master} 0 0 {number} connected {slots}".rstrip()


def found_from(address: str, login: Login | None = None) -> Inventory:
    return discovered(Seed.parse(address), login or Login())


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("10.0.0.1:6373", "10.0.0.1", 6373, "10.0.0.1:6373"),
        (" redis-1.example:1 ", "redis-1.example", 1, "redis-1.example:1"),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535, "[2001:db8::1]:65535"),
        ("2001:db8::1:7000", "2001:db8::1", 7000, "[2001:db8::1]:7000"),
    ],
)
def test_a_seed_is_host_and_port(text: str, host: str, port: int, shown: str) -> None:
    """Names and addresses of both kinds are understood, and shown as they may be typed again."""
    seed = Seed.parse(text)
    assert (seed.host, seed.port, str(seed)) == (host, port, shown)
    assert Seed.parse(shown) == seed


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1", ":6373", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "x:٣", "x:-1", "x:6373/0", "[]:1"]
)
def test_what_is_no_seed_is_refused(text: str) -> None:
    """The message says what was expected and what was given."""
    with pytest.raises(GauntletError, match="--seed is not understood") as caught:
        Seed.parse(text)
    assert "HOST:PORT" in caught.value.expected
    assert caught.value.observed == (text or "nothing")
    assert caught.value.advice


def test_every_node_is_found_that_anybody_names() -> None:
    """A node that only the seed's replica knows is found too; each address is a host, roles and slots are known."""
    with speaking(3) as (first, second, third):
        lines = [
            line(1, first.address, slots="0-5460"),
            line(2, second.address, "slave", node_id(1)),
            line(3, third.address, slots="5461-16383"),
        ]
        first.lines = [f"{lines[0]}".replace("master", "myself,master"), lines[1]]
        second.lines = [lines[0], lines[1].replace("slave", "myself,slave"), lines[2]]
        third.lines = [lines[0], lines[2].replace("master", "myself,master")]
        found = found_from(first.address)
    nodes = [first.address, second.address, third.address]
    assert [node.full_name for node in found.nodes] == nodes
    assert [node.address for node in found.nodes] == nodes
    assert [host.name for host in found.hosts] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert [(shard.master.address, [each.address for each in shard.replicas]) for shard in found.shards] == [
        (first.address, [second.address]),
        (third.address, []),
    ]
    assert str(found.masters[1].slots[0]) == "5461-16383"
    assert not found.simulated


def test_a_seed_dialled_at_another_address_is_one_node() -> None:
    """Others name the seed by what it announces: it is found once, under that name, and dialled where it answers."""
    announced = "127.0.0.9:6373"
    with speaking(2) as (first, second):
        first.lines = [line(1, announced, "myself,master"), line(2, second.address)]
        second.lines = [line(1, announced), line(2, second.address, "myself,master")]
        found = found_from(first.address)
        assert [(node.full_name, "{}:{}".format(*node.outside)) for node in found.nodes] == [
            (announced, first.address),
            (second.address, second.address),
        ]
        assert [node.full_name for node in found_from(second.address).nodes] == [announced, second.address]


@pytest.mark.parametrize("wrong_first", [True, False], ids=["the wrong one first", "the right one first"])
def test_an_id_with_two_addresses_is_one_node(wrong_first: bool) -> None:
    """A node that answers under one address is not missed under another that somebody else has of it."""
    with speaking(3) as (first, second, third):
        first.lines = [line(1, first.address, "myself,master"), line(2, second.address)]
        second.lines = [line(1, first.address), line(2, second.address, "myself,master")]
        third.lines = [line(3, third.address, "myself,master")]
        first.lines.append(line(3, CLOSED if wrong_first else third.address))
        second.lines.append(line(3, third.address if wrong_first else CLOSED))
        found = found_from(first.address)
        assert [node.full_name for node in found.nodes] == [first.address, second.address, third.address]


def test_who_does_not_answer_is_found_too() -> None:
    """What is to be reported missing must be known; who has no address, or is not a member yet, is not dialled."""
    with speaking(1) as (first,):
        first.lines = [
            line(1, first.address, "myself,master"),
            line(2, CLOSED, "master,fail"),
            line(3, ":0", "master,noaddr"),
            line(4, "127.0.0.1:2", "handshake"),
        ]
        assert [node.full_name for node in found_from(first.address).nodes] == [first.address, CLOSED]


def test_a_seed_that_does_not_know_its_own_address() -> None:
    """A node that nobody has met yet leaves its own IP out: it is the one that was asked."""
    with speaking(1) as (first,):
        port = first.server_address[1]
        first.lines = [line(1, f":{port}", "myself,master")]
        assert [node.full_name for node in found_from(first.address).nodes] == [first.address]
        first.lines = []
        assert [node.full_name for node in found_from(first.address).nodes] == [first.address]


def test_everybody_is_asked_with_the_login() -> None:
    """User and password go to every node that is found, and stand in nothing that is printed."""
    with speaking(2) as (first, second):
        first.lines = [line(1, first.address, "myself,master"), line(2, second.address)]
        found = found_from(first.address, Login("probe", PASSWORD))
        assert set(first.logins) == set(second.logins) == {("probe", PASSWORD)}
    assert {(node.user, node.password) for node in found.nodes} == {("probe", PASSWORD)}
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(("said", "taken"), [("900", 900), ("", DEFAULT_NODE_TIMEOUT_MS)], ids=["told", "refused"])
def test_the_node_timeout_is_the_seeds(said: str, taken: int) -> None:
    """What is waited for derives from it; a user that may not ask has Redis's default."""
    with speaking(1) as (first,):
        first.lines, first.timeout_ms = [line(1, first.address, "myself,master")], said
        assert found_from(first.address).node_timeout_ms == taken


@pytest.mark.parametrize(
    "refusal",
    [
        "NOAUTH Authentication required.",
        "NOPERM this user has no permissions to run the 'cluster|nodes' command",
        "ERR This instance has cluster support disabled",
    ],
)
def test_a_seed_that_refuses_is_quoted(refusal: str) -> None:
    """The server's own words are the reason; the message names the seed and the variables of the login."""
    with speaking(1) as (first,):
        first.refusal = refusal
        with pytest.raises(NodeUnreachable, match="nothing can be judged") as caught:
            found_from(first.address, Login(password=PASSWORD))
    assert caught.value.observed == refusal
    assert first.address in caught.value.summary
    assert "REDIS_GAUNTLET_PASSWORD" in caught.value.advice
    assert PASSWORD not in str(caught.value)


def test_a_silent_seed_and_a_silent_node_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for longer than a deadline: a silent seed is the end, a silent node is one that was found."""
    monkeypatch.setattr(discovery, "ANSWER_SECONDS", 0.3)
    with speaking(2) as (first, second):
        first.lines = [line(1, first.address, "myself,master"), line(2, second.address)]
        second.is_silent = True
        began = time.monotonic()
        assert [node.full_name for node in found_from(first.address).nodes] == [first.address, second.address]
        with pytest.raises(NodeUnreachable) as caught:
            found_from(second.address)
        assert "no answer" in caught.value.observed
        assert time.monotonic() - began < 30  # whoever is silent here is so for ever


def test_what_is_no_cluster_is_not_dialled() -> None:
    """A view of more nodes than a cluster can have is refused before any of them is asked."""
    with speaking(1) as (first,):
        first.lines = [line(number, f"127.0.0.1:{number}") for number in range(1, MOST_NODES + 2)]
        with pytest.raises(GauntletError, match="more nodes than any cluster has"):
            found_from(first.address)
