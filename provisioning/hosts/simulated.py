"""A simulated host: one container that owns a network and a PID namespace; its nodes join both."""

from __future__ import annotations

import io
import shlex
import tarfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from secrets import token_hex
from types import MappingProxyType
from typing import Any

import docker.errors
import testinfra
from docker.utils.socket import frames_iter

from provisioning.docker_engine import Engine
from provisioning.errors import OwnershipError, SimulationError

LAN = "lan"

HELD = 'read -r word || exit; exec 2>&1; "$@" </dev/null; echo "$word ended $?"; read -r _'
"""Waits for a word, runs a command, says that and how it ended, and stays until it is told to go."""


@dataclass(frozen=True)
class File:
    """A file to put on a host: absolute path, content, owner and permission bits."""

    path: str
    content: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o644


@dataclass(frozen=True)
class Exit:
    """How a command on a host ended."""

    code: int
    output: str


class Container:
    """One container by name, as something that can be started, signalled and looked at."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.name = name
        self._api: Any = engine.client.api

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def state(self) -> Mapping[str, Any]:
        """The engine's State: Running, ExitCode, Pid, StartedAt, ..."""
        state: Mapping[str, Any] = self._api.inspect_container(self.name)["State"]
        return state

    @property
    def running(self) -> bool:
        return bool(self.state["Running"])

    def start(self) -> None:
        """Start it. Raises SimulationError."""
        try:
            self._api.start(self.name)
        except docker.errors.APIError as problem:
            raise SimulationError(f"{self.name} does not start", observed=str(problem.explanation)) from None

    def signal(self, name: str) -> None:
        """Send a signal (KILL, TERM, STOP, CONT) to its main process. Raises SimulationError if it is not running."""
        try:
            self._api.kill(self.name, signal=f"SIG{name}")
        except docker.errors.APIError as problem:
            raise SimulationError(
                f"SIG{name} cannot be sent to {self.name}", observed=str(problem.explanation)
            ) from None

    def log(self, since: float = 0) -> str:
        """Return its standard output and error, each line led by the engine's UTC time; ``since`` in Unix seconds."""
        try:
            raw: bytes = self._api.logs(self.name, timestamps=True, since=int(since) or None)
        except docker.errors.APIError as problem:
            raise SimulationError(f"the log of {self.name} cannot be read", observed=str(problem.explanation)) from None
        return raw.decode("utf-8", "replace")

    def run(self, *command: str, environment: Mapping[str, str] = MappingProxyType({})) -> Exit:
        """Run a command in it and return its exit code and output.

        It begins when the connection is ours: what comes in one piece with the head of the engine's answer,
        docker-py 7 leaves in a buffer that nobody reads. It ends when all has come.
        """
        word = token_hex(8)
        job = self._api.exec_create(
            self.name, ["sh", "-c", HELD, "sh", *command], stdin=True, environment=dict(environment)
        )
        stream = self._api.exec_start(job["Id"], socket=True)
        tell = getattr(stream, "_sock", stream).sendall
        output = b""
        try:
            with suppress(ConnectionError):  # it was killed, shell and all, as where the host dies
                tell(f"{word}\n".encode())
                for _, part in frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]
                    output += part
                    before, ended, code = output.rpartition(f"{word} ended ".encode())
                    if ended and code.endswith(b"\n"):
                        tell(b"\n")
                        return Exit(int(code), before.decode("utf-8", "replace"))
        finally:
            stream.close()
        return Exit(self._api.exec_inspect(job["Id"])["ExitCode"], output.decode("utf-8", "replace"))


class SimulatedHost(Container):
    """The container that is the host. ``testinfra`` looks into it through ``docker exec``."""

    @cached_property
    def testinfra(self) -> Any:
        """The testinfra host (backend ``docker://``) for this container."""
        return testinfra.get_host(f"docker://{self.name}")

    def sure(self, *command: str) -> str:
        """Run a command that must succeed and return its output. Raises SimulationError."""
        ended = self.run(*command)
        if ended.code:
            raise SimulationError(f"{shlex.join(command)} failed on {self.name}", observed=ended.output.strip()[-500:])
        return ended.output

    def read(self, path: str) -> str:
        """Return what is in a file, whether the host is running or not. Raises SimulationError."""
        try:
            parts, _ = self._api.get_archive(self.name, path)
        except docker.errors.APIError as problem:
            raise SimulationError(f"{path} of {self.name} cannot be read", observed=str(problem.explanation)) from None
        with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
            file = archive.extractfile(archive.getmembers()[0])
            return file.read().decode() if file is not None else ""

    def put(self, files: Iterable[File]) -> None:
        """Write files, with their directories, whether the host is running or not."""
        self._api.put_archive(self.name, "/", _archive(files))


def _archive(files: Iterable[File]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for file in files:
            data = file.content.encode()
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(data), file.mode, file.uid, file.gid
            entry.mtime = int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def foreign_object(kind: str, name: str) -> OwnershipError:
    """Return the error for an object that has our name but not our label."""
    return OwnershipError(
        f"a {kind} named {name} exists and is not ours",
        expected="no such object, or one with the label redis-gauntlet",
        advice=f"use another --name, or rename or remove it yourself: docker {kind} rm {name}",
    )
