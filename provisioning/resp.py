"""One connection to one Redis server that sends once and says exactly what came back.

A cluster client retries and follows redirects; evidence needs the raw answer. The protocol is
parsed by hiredis; this is the socket, the deadline and the login around it.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, cast

import hiredis

from provisioning.errors import GauntletError, NodeUnreachable
from provisioning.inventory import Node, Tls
from provisioning.tls import TlsError, handshake_failure, tls_context

DEADLINE_SECONDS = 2.0
"""How long one command may take where nothing else is said: a healthy node answers within milliseconds."""

LAST_LOOK_SECONDS = 0.001
"""How long is looked for what has come when the deadline has passed; a timeout of 0 would be another error."""

NO_ANSWER = "no answer within the deadline"
"""Why a node counts as unreachable that let its time pass: whether it carried out what was sent is not known."""

NO_PASSWORD_SET = ("without any password configured", "but no password is set")
"""What a server says to a password that it does not ask for (Redis 6 and later, and before): no login is needed."""

TURNED_AWAY = ("DENIED ", "ERR max number of clients")
"""What a server says to a connection that it closes: in protected mode, and when it has too many."""

SUBCOMMANDS = {
    "ACL": {"LIST", "WHOAMI"},
    "CLIENT": {"ID", "INFO"},
    "CLUSTER": {
        *("INFO", "LINKS", "MYID", "MYSHARDID", "NODES", "SHARDS", "SLOTS"),
        *("COUNTKEYSINSLOT", "GETKEYSINSLOT", "KEYSLOT"),
    },
    "CONFIG": {"GET"},
}
"""Commands whose second word says what they do: those that read."""

READING = {
    *("COMMAND", "DBSIZE", "ECHO", "INFO", "LASTSAVE", "PING", "ROLE", "TIME"),
    *("EXISTS", "GET", "MGET", "PTTL", "STRLEN", "TTL", "TYPE"),
    *("ASKING", "DISCARD", "EXEC", "MULTI", "READONLY", "READWRITE", "SSUBSCRIBE", "SUNSUBSCRIBE"),
}
"""What may be sent to real hosts: commands that change neither data, configuration nor cluster, nor take long."""


class Refused(Exception):
    """An error that the server answered, such as ``MOVED 15495 10.0.0.1:6373``: the command was not applied."""

    @property
    def code(self) -> str:
        """The first word: MOVED, ASK, CLUSTERDOWN, NOAUTH, ERR, ..."""
        return str(self).partition(" ")[0]


class _Secret(str):
    """A password as it goes over the wire; what shows local variables shows that there is one, no more."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


class Connection:
    """A logged-in connection, opened when first used and again after it was lost.

    Every call has one deadline, in seconds, for connecting, login, sending and answering. A
    ``read_only`` one sends nothing but the commands in READING and SUBCOMMANDS. Not for several threads at once.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        user: str = "",
        password: str = "",
        tls: Tls | None = None,
        deadline: float = DEADLINE_SECONDS,
        read_only: bool = False,
    ) -> None:
        self.address = address
        self.deadline = deadline
        self.read_only = read_only
        self._user = user
        self._password = _Secret(password)
        self._tls = tls
        self._socket: socket.socket | None = None
        self._reader = hiredis.Reader()

    @classmethod
    def to(cls, node: Node, *, deadline: float = DEADLINE_SECONDS, read_only: bool = False) -> Connection:
        """Return a connection to that node as this process reaches it, with its login."""
        return cls(
            node.outside,
            user=node.user,
            password=node.password,
            tls=node.tls,
            deadline=deadline,
            read_only=read_only,
        )

    def __repr__(self) -> str:
        return f"<Connection {self.address[0]}:{self.address[1]}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(self, *words: str | bytes | int, deadline: float | None = None) -> Any:
        """Send one command once and return its answer: str (bytes that are not UTF-8 as
        surrogates, so that they can be sent back), int, None or a list.

        Raises Refused for an error answer, NodeUnreachable where no answer came within the deadline (one that
        is there counts, however late this process comes to look for it), and GauntletError for a command that
        a read-only connection does not send.
        """
        return self.calls([words], deadline=deadline)[0]

    def calls(
        self,
        commands: Sequence[Sequence[str | bytes | int]],
        *,
        deadline: float | None = None,
        raise_refusals: bool = True,
    ) -> list[Any]:
        """Send several commands together and return their answers in order; see ``call``.

        With ``raise_refusals=False`` an error answer stands in the list as a Refused; one with which
        the server turns the whole connection away is raised all the same.
        """
        for words in {tuple(words[:2]) for words in commands} if self.read_only else ():
            _check_reading(words, self.address)
        until = time.monotonic() + (self.deadline if deadline is None else deadline)
        try:
            if self._socket is None:
                self._open(until)
            return self._exchange(commands, until, raise_refusals)
        except (OSError, UnicodeError, ssl.SSLError, hiredis.HiredisError) as problem:
            # UnicodeError: the name of the host can be no host's name.
            self.close()
            reason = (
                NO_ANSWER
                if isinstance(problem, TimeoutError)
                else handshake_failure(problem, self._tls)
                if self._tls is not None and isinstance(problem, ssl.SSLError)
                else str(problem)
            )
        # Outside of the except block: what went wrong inside hangs on no exception, nor do its frames.
        raise NodeUnreachable(
            f"{self.address[0]}:{self.address[1]} does not answer {_named(commands[0])}",
            observed=reason,
        )

    def _open(self, until: float) -> None:
        raw = socket.create_connection(self.address, timeout=_left(until))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        self._socket = raw
        if self._tls is not None:
            try:
                raw.settimeout(_left(until))
                self._socket = tls_context(self._tls).wrap_socket(raw, server_hostname=self.address[0])
            except TlsError as problem:
                raise ConnectionError(problem.observed) from None
            except OSError as problem:
                raise ConnectionError(handshake_failure(problem, self._tls)) from None
        if self._password or self._user:  # a user without a password may be one that needs none
            login = ("AUTH", self._user, self._password) if self._user else ("AUTH", self._password)
            (answer,) = self._exchange([login], until, raise_refusals=False)
            if isinstance(answer, Refused) and not any(each in str(answer) for each in NO_PASSWORD_SET):
                self.close()  # the next call must not go out without a login
                raise answer

    def _exchange(
        self, commands: Sequence[Sequence[str | bytes | int]], until: float, raise_refusals: bool
    ) -> list[Any]:
        assert self._socket is not None
        self._socket.settimeout(_left(until))
        self._socket.sendall(b"".join(map(_packed, commands)))
        answers: list[Any] = []
        for _ in commands:
            try:
                answer = self._answer(until)
            except ConnectionError:
                if not answers or not str(answers[0]).startswith(TURNED_AWAY):
                    raise
                self.close()
                raise Refused(str(answers[0])) from None
            if isinstance(answer, hiredis.ReplyError):
                answer = Refused(str(answer))
            answers.append(answer)
        if raise_refusals:
            for answer in answers:
                if isinstance(answer, Refused):
                    raise answer
        return answers

    def _answer(self, until: float) -> Any:
        assert self._socket is not None
        late = False
        while (answer := self._reader.gets()) is False:
            if late:
                raise TimeoutError("deadline passed")
            left = until - time.monotonic()
            late = left <= 0  # as wherever is waited: a machine that stood still turns no answer into silence
            self._socket.settimeout(max(left, LAST_LOOK_SECONDS))
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionResetError("the server closed the connection")
            self._reader.feed(received)
        return answer

    def next_message(self, deadline: float) -> Any:
        """Return the next message of a subscribed connection. Raises NodeUnreachable at the deadline."""
        try:
            return self._answer(time.monotonic() + deadline)
        except OSError as problem:
            self.close()
            raise NodeUnreachable(f"no message from {self.address}", observed=str(problem)) from None


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("deadline passed")
    return left


def _check_reading(words: Sequence[str | bytes | int], address: tuple[str, int]) -> None:
    """Raise GauntletError for a command that may change something, or that is not known here."""
    said = tuple(word.decode("ascii", "replace") if isinstance(word, bytes) else str(word) for word in words[:2])
    first, second = (*map(str.upper, said), "", "")[:2]
    if first not in READING and second not in SUBCOMMANDS.get(first, ()):
        raise GauntletError(
            f"{_named(words)} is not sent to {address[0]}:{address[1]}: this connection is for reading",
            expected="a command that changes nothing",
            advice="a test that writes is for a simulated cluster",
        )


def _packed(words: Sequence[str | bytes | int]) -> bytes:
    encoded = tuple(word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words)
    packed: bytes = cast(Any, hiredis).pack_command(encoded)
    return packed


def _named(words: Sequence[str | bytes | int]) -> str:
    """Return a command for a message: its name, without arguments."""
    size = 2 if words and str(words[0]).upper() in SUBCOMMANDS else 1
    return " ".join(word if isinstance(word, str) else repr(word) for word in words[:size])
