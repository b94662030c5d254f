"""A connection sends once, keeps its one deadline whatever the server does, and says exactly what came back."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from provisioning.errors import GauntletError, NodeUnreachable
from provisioning.inventory import Node
from provisioning.resp import Connection, Refused

pytestmark = pytest.mark.unit

NO_HANG_SECONDS = 30.0
"""What hangs does so for longer."""

Behaviour = Callable[[socket.socket, int], None]
"""What the server does with a connection, and which one it is (0, 1, ...)."""


@contextmanager
def serving(behave: Behaviour) -> Iterator[tuple[str, int]]:
    """Yield the address of a server on loopback that treats every connection so, one after the other."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            count = 0
            while not stop.is_set():
                try:
                    accepted, _ = listening.accept()
                except TimeoutError:
                    continue
                with accepted:
                    accepted.settimeout(3)
                    with suppress(OSError):  # the client may be faster
                        behave(accepted, count)
                count += 1

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()
        finally:
            stop.set()
            thread.join()


def answers(*texts: bytes) -> Behaviour:
    """Answer each command received with the next text, then close."""

    def behave(link: socket.socket, _: int) -> None:
        for text in texts:
            if not link.recv(65536):
                return
            link.sendall(text)
        link.recv(65536)

    return behave


def in_pieces(pause: float, *pieces: bytes) -> Behaviour:
    """Answer with these pieces, a pause before each."""
    never = threading.Event()

    def behave(link: socket.socket, _: int) -> None:
        link.recv(65536)
        for piece in pieces:
            never.wait(pause)
            link.sendall(piece)
        link.recv(65536)

    return behave


def without_end(link: socket.socket, _: int) -> None:
    """Answer with a line that goes on and on, as fast as it is read."""
    link.recv(65536)
    link.sendall(b"+")
    until = time.monotonic() + 2 * NO_HANG_SECONDS
    while time.monotonic() < until:
        link.sendall(b"-")


def late(given_up: threading.Event) -> Behaviour:
    """Answer once the client has given up."""

    def behave(link: socket.socket, _: int) -> None:
        link.recv(65536)
        given_up.wait(NO_HANG_SECONDS)
        link.sendall(b"+late\r\n")
        link.recv(65536)

    return behave


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"+PONG\r\n", "PONG"),
        (b":42\r\n", 42),
        (b":-1\r\n", -1),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"$0\r\n\r\n", ""),
        (b"*0\r\n", []),
        (b"$2\r\n\xc3\xa9\r\n", "é"),
        (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", ["a", [1]]),
        (b"$12\r\n+fake\r\n-ERR \r\n", "+fake\r\n-ERR "),
    ],
)
def test_answers_are_what_was_sent(raw: bytes, value: object) -> None:
    """Every kind of answer becomes its value, and text that looks like protocol stays text."""
    with serving(answers(raw)) as address, Connection(address) as link:
        assert link.call("X") == value


def test_an_error_is_a_refusal_with_its_code() -> None:
    """The server's error is told apart from silence, its text unchanged, and the connection stays good."""
    served: list[int] = []

    def behave(link: socket.socket, count: int) -> None:
        served.append(count)
        answers(b"-MOVED 15495 10.0.0.1:6373\r\n", b"+PONG\r\n")(link, count)

    with serving(behave) as address, Connection(address) as link:
        with pytest.raises(Refused) as caught:
            link.call("GET", "a")
        assert (caught.value.code, str(caught.value)) == ("MOVED", "MOVED 15495 10.0.0.1:6373")
        assert link.call("PING") == "PONG"
    assert served == [0]


def test_a_refusal_among_several_answers() -> None:
    """Refusals stand in the list where that is asked for; else the first is raised and no answer is left unread."""
    with serving(answers(b"+a\r\n-ERR no\r\n+c\r\n", b"+d\r\n-ERR no\r\n", b"+e\r\n")) as address:
        with Connection(address) as link:
            first, second, third = link.calls([["A"], ["B"], ["C"]], raise_refusals=False)
            assert (first, third) == ("a", "c")
            assert isinstance(second, Refused)
            with pytest.raises(Refused):
                link.calls([["D"], ["B"]])
            assert link.call("E") == "e"


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(in_pieces(5), id="silent"),
        pytest.param(in_pieces(0, b"$100\r\nhalf of it"), id="half an answer"),
        pytest.param(in_pieces(0.05, *[b"$900\r\n"] + [b"x"] * 800), id="a byte now and then"),
        pytest.param(without_end, id="a line without end"),
    ],
)
def test_the_deadline_is_for_the_whole_call(behave: Behaviour) -> None:
    """Silence, half an answer, or bytes that trickle: the call ends at its deadline and says so."""
    with serving(behave) as address:
        with Connection(address, deadline=0.3) as link:
            began = time.monotonic()
            with pytest.raises(NodeUnreachable, match="no answer within the deadline") as caught:
                link.call("CLUSTER", "NODES")
            assert 0.25 <= time.monotonic() - began < NO_HANG_SECONDS
            assert "CLUSTER NODES" in str(caught.value)
            assert f"{address[0]}:{address[1]}" in str(caught.value)


def test_a_deadline_of_one_call_is_its_own() -> None:
    """It shortens this call, and the next has the connection's again."""
    given_up = threading.Event()
    with serving(late(given_up)) as address, Connection(address, deadline=NO_HANG_SECONDS) as link:
        with pytest.raises(NodeUnreachable):
            link.call("A", deadline=0.1)
        given_up.set()
        assert link.call("B") == "late"


@pytest.mark.parametrize("looks", [1, 2])
def test_an_answer_that_is_there_counts(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """A process that stood still until after the deadline reads what has come meanwhile, looks once, and no more."""
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    pieces = [b"+whole\r\n"] if looks == 1 else [b"+wh", b"ole\r\n"]

    def behave(link: socket.socket, _: int) -> None:
        answers(b"+open\r\n")(link, 0)
        for piece in pieces:
            asked.acquire(timeout=NO_HANG_SECONDS)
            link.sendall(piece)
            answered.release()

    def times() -> Iterator[float]:
        yield from (0.0, 0.0)  # the call begins, and has time to send
        while True:  # whoever looks after that is late, and finds a piece more
            asked.release()
            answered.acquire(timeout=NO_HANG_SECONDS)
            yield 1000.0

    with serving(behave) as address, Connection(address) as link:
        assert link.call("PING") == "open"
        clock = times()
        monkeypatch.setattr("provisioning.resp.time", SimpleNamespace(monotonic=lambda: next(clock)))
        if looks == 1:
            assert link.call("PING") == "whole"
        else:
            with pytest.raises(NodeUnreachable, match="no answer within the deadline"):
                link.call("PING")
        asked.release(len(pieces))


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    """With no time left the command is not sent at all."""
    with serving(answers(b"+x\r\n")) as address, Connection(address) as link:
        with pytest.raises(NodeUnreachable, match="deadline"):
            link.call("SET", "a", "b", deadline=0.0)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "closed"),
        (b"$10\r\nhalf", "closed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "Protocol"),
        (b"\x00\x01\r\n", "P"),
    ],
)
def test_a_server_that_speaks_otherwise_is_unreachable(raw: bytes, reason: str) -> None:
    """A closed connection, a cut answer, or another protocol is no answer, with the reason."""

    def behave(link: socket.socket, _: int) -> None:
        link.recv(65536)
        link.sendall(raw)

    with serving(behave) as address, Connection(address) as link:
        with pytest.raises(NodeUnreachable, match=reason):
            link.call("PING")


def test_nobody_there_is_unreachable() -> None:
    """A refused connection, and names that no host can have."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for host in ("127.0.0.1", "a" * 70, "a..b"):
        with pytest.raises(NodeUnreachable, match="does not answer PING"):
            Connection((host, port)).call("PING")


def test_a_lost_connection_is_opened_anew() -> None:
    """After a loss the next call gets its own answer on a new connection, and nothing of the old one."""

    def behave(link: socket.socket, count: int) -> None:
        link.recv(65536)
        link.sendall(b"$5\r\nol" if count == 0 else b"+new\r\n")

    with serving(behave) as address, Connection(address) as link:
        with pytest.raises(NodeUnreachable):
            link.call("A")
        assert link.call("B") == "new"


def test_a_late_answer_is_not_taken_for_the_next_ones() -> None:
    """What arrives after the deadline belongs to nobody: the next call is on another connection."""

    given_up = threading.Event()

    def behave(link: socket.socket, count: int) -> None:
        (late(given_up) if count == 0 else answers(b"+right\r\n"))(link, count)

    with serving(behave) as address, Connection(address) as link:
        with pytest.raises(NodeUnreachable):
            link.call("A", deadline=0.1)
        given_up.set()
        assert link.call("B", deadline=NO_HANG_SECONDS) == "right"


def test_a_command_is_sent_once() -> None:
    """Nothing is repeated behind the caller's back, even where the connection was lost."""
    received: list[bytes] = []

    def behave(link: socket.socket, _: int) -> None:
        received.append(link.recv(65536))

    with serving(behave) as address, Connection(address) as link:
        with pytest.raises(NodeUnreachable):
            link.call("INCR", "a")
    assert received == [b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"]


def test_login_comes_first() -> None:
    """AUTH with user and password goes out before the first command, once for each connection."""
    received: list[bytes] = []

    def behave(link: socket.socket, _: int) -> None:
        for _ in range(3):
            received.append(link.recv(65536))
            link.sendall(b"+OK\r\n")

    with serving(behave) as address, Connection(address, user="probe", password="pässword") as link:
        link.call("A")
        link.call("B")
    assert received[0] == b"*3\r\n$4\r\nAUTH\r\n$5\r\nprobe\r\n$9\r\np\xc3\xa4ssword\r\n"
    assert received[1:] == [b"*1\r\n$1\r\nA\r\n", b"*1\r\n$1\r\nB\r\n"]


def test_a_refused_login_is_tried_again_before_any_command() -> None:
    """No command goes out on a connection whose login was refused: every call is refused, none half logged in."""
    received: list[bytes] = []

    def behave(link: socket.socket, _: int) -> None:
        while data := link.recv(65536):
            received.append(data)
            link.sendall(b"-WRONGPASS invalid\r\n")

    with serving(behave) as address, Connection(address, password="x") as link:
        for _ in range(2):
            with pytest.raises(Refused, match="WRONGPASS"):
                link.call("FLUSHALL")
    assert received == [b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n"] * 2


def test_a_huge_answer_is_read_whole() -> None:
    """Megabytes in many pieces are one answer."""
    size = 8_000_000
    with serving(answers(b"$%d\r\n" % size + b"x" * size + b"\r\n")) as address:
        with Connection(address, deadline=20) as link:
            assert link.call("GET", "big") == "x" * size


def test_any_bytes_survive() -> None:
    """Bytes that are no UTF-8 come back so that they can be sent again unchanged."""
    received: list[bytes] = []

    def behave(link: socket.socket, _: int) -> None:
        link.recv(65536)
        link.sendall(b"$2\r\n\xff\x00\r\n")
        received.append(link.recv(65536))
        link.sendall(b"+OK\r\n")

    with serving(behave) as address, Connection(address) as link:
        link.call("ECHO", link.call("GET", b"\xff"))
    assert received == [b"*2\r\n$4\r\nECHO\r\n$2\r\n\xff\x00\r\n"]


def test_messages_keep_their_deadline() -> None:
    """A subscriber gets the next message, or the error when none comes in time."""
    push = b"*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"
    with serving(in_pieces(0, b"*3\r\n$10\r\nssubscribe\r\n$1\r\nc\r\n:1\r\n" + push)) as address:
        with Connection(address) as link:
            assert link.call("SSUBSCRIBE", "c") == ["ssubscribe", "c", 1]
            assert link.next_message(2) == ["smessage", "c", "m"]
            with pytest.raises(NodeUnreachable, match="no message"):
                link.next_message(0.1)


def test_a_connection_does_not_show_its_password() -> None:
    """Neither its repr nor its errors."""
    link = Connection(("127.0.0.1", 1), password="secret-word")
    with pytest.raises(NodeUnreachable) as caught:
        link.call("PING")
    assert "secret-word" not in repr(link) + str(caught.value)


def test_a_refused_login_hangs_on_no_frame() -> None:
    """No frame of the error's traceback, nor of any error behind it, shows the password among its variables."""

    def refuse(link: socket.socket, _: int) -> None:
        link.recv(65536)
        link.sendall(b"-WRONGPASS invalid\r\n")

    def hang_up(link: socket.socket, _: int) -> None:
        link.recv(65536)

    for behave, raised in ((refuse, Refused), (hang_up, NodeUnreachable)):
        with serving(behave) as address, Connection(address, user="ada", password="S3CRET") as link:
            with pytest.raises(raised) as caught:
                link.call("PING")
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        for entry in caught.traceback[1:]:  # the first is this test, which names the password itself
            assert "S3CRET" not in repr(entry.frame.f_locals)


@pytest.mark.parametrize(
    "words",
    [
        ("GET", "a"),
        ("get", "a"),
        (b"MGET", b"a", b"b"),
        ("CLUSTER", "NODES"),
        ("cluster", "countkeysinslot", 1),
        ("CONFIG", "GET", "*"),
        ("INFO", "everything"),
        ("COMMAND", "COUNT"),
    ],
    ids=repr,
)
def test_a_read_only_connection_reads(words: tuple[str | bytes | int, ...]) -> None:
    """What changes nothing goes out as it does on any other connection."""
    with serving(answers(b"+x\r\n")) as address, Connection(address, read_only=True) as link:
        assert link.call(*words) == "x"


@pytest.mark.parametrize(
    "words",
    [
        ("SET", "a", "b"),
        ("set", "a", "b"),
        (b"DEL", b"a"),
        ("FLUSHALL",),
        ("CLUSTER", "FAILOVER"),
        ("CLUSTER", "FORGET", "x"),
        ("CLUSTER",),
        ("CONFIG", "SET", "appendonly", "no"),
        ("CONFIG", "REWRITE"),
        ("DEBUG", "SLEEP", 1),
        ("EVAL", "return 1", 0),
        ("KEYS", "*"),
        ("GETDEL", "a"),
        ("SHUTDOWN",),
        ("ACL", "SETUSER", "x"),
        ("CLUSTER-NODES",),
        ("CLUSTER-NODES", "GET"),
        (b"\xff",),
        (7,),
        (),
    ],
    ids=repr,
)
def test_a_read_only_connection_sends_nothing_else(words: tuple[str | bytes | int, ...]) -> None:
    """Any other command is refused here, and so are the reading ones that were to go out with it."""
    received: list[bytes] = []

    def behave(link: socket.socket, _: int) -> None:
        received.append(link.recv(65536))

    with serving(behave) as address, Connection(address, read_only=True, password="x") as link:
        with pytest.raises(GauntletError, match="for reading"):
            link.calls([("GET", "a"), words], raise_refusals=False)
    assert received == []


def test_a_connection_to_a_node_may_be_read_only() -> None:
    """And writes where nothing is said."""
    node = Node("h", "n", "master", 1, 10001, outside=("127.0.0.1", 1))
    with pytest.raises(GauntletError, match="for reading"):
        Connection.to(node, read_only=True).call("SET", "a", "b")
    with pytest.raises(NodeUnreachable):
        Connection.to(node).call("SET", "a", "b")
