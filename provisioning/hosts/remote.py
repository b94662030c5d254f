"""A real host: entered over SSH as Ansible enters it, to look and not to touch, with an end to everything."""

from __future__ import annotations

import math
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

import testinfra.host
from testinfra.backend.ssh import SshBackend

from provisioning.hosts.simulated import Exit
from provisioning.hosts.ssh_failure import SshFailure
from provisioning.hosts.ssh_login import HostUnreachable, SshLogin
from provisioning.inventory import Host

TESTINFRA_SECONDS = 20.0
"""How long one command of testinfra may take."""

BEGINS = b"redis-gauntlet-begins\n"
ENDS = b"\nredis-gauntlet-ends "
"""Around a script's output: what is before comes from the login, and without an end the script has none."""

WRAPPER = """\
echo redis-gauntlet-begins
script=$(cat)
exec </dev/null
PATH=$PATH:/usr/sbin:/sbin
(eval "$script")
printf '\\nredis-gauntlet-ends %s\\n' $?"""
"""Runs a script that comes by standard input: one of any length, and not to be seen in the list of processes."""


class RemoteHost:
    """A host of a real inventory. Nothing is sent until something is run; several threads may run things."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def __repr__(self) -> str:
        return f"<RemoteHost {self.host.name}>"

    @cached_property
    def login(self) -> SshLogin:
        """How it is entered. Raises HostUnreachable for variables that are not understood."""
        return SshLogin.of(self.host)

    @cached_property
    def testinfra(self) -> Any:
        """The testinfra host (backend ``ssh://``); its commands raise as ``run`` does, after at most 20 s."""
        return testinfra.host.Host(_Bounded(self))

    def run(self, script: str, seconds: float, entered: Callable[[], None] | None = None) -> Exit:
        """Run a script of the POSIX shell, by sudo where the inventory says so, and return how it ended.

        Standard input is empty; output and error come together. All of it, the way there included, is
        over within ``seconds``; a script that takes longer is killed there too. ``entered`` is called
        when the host is entered, and before the script is sent. Raises HostUnreachable.
        """
        code, output, _ = self.exchange(f"exec 2>&1\n{script}", seconds, entered)
        return Exit(code, output.decode("utf-8", "replace"))

    def exchange(
        self, script: str, seconds: float, entered: Callable[[], None] | None = None
    ) -> tuple[int, bytes, bytes]:
        """Run as ``run`` does; return exit code, output and error. Raises HostUnreachable."""
        remote = f"timeout -k 1 {math.ceil(seconds)} sh -c {shlex.quote(WRAPPER)}"
        if self.login.become:
            remote = f"sudo -n -u {shlex.quote(self.login.become)} {remote}"
        code, output, error = self._ssh(self.login.command(remote, seconds), script.encode(), seconds, entered)
        before, begun, output = output.partition(BEGINS)
        if not begun:
            raise self._no_entry(code, (before + b"\n" + error).decode("utf-8", "replace"), seconds)
        output, ended, word = output.rpartition(ENDS)
        if not ended:
            lost = code is not None and code not in (124, 137)
            observed = "the connection was lost" if lost else f"the command did not end within {seconds:g} s"
            raise self._failure(SshFailure(observed))
        return int(word), output, error

    def _ssh(
        self, command: list[str], script: bytes, seconds: float, entered: Callable[[], None] | None
    ) -> tuple[int | None, bytes, bytes]:
        """Return exit code (None: killed at the end of its time), output and error of ssh."""
        until = time.monotonic() + seconds
        environment = {**os.environ, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"}
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # no terminal to ask at, and one group to kill with all that ssh started
            )
        except FileNotFoundError:
            failure = SshFailure("there is no ssh command here", "install OpenSSH's client (openssh-client)")
            raise self._failure(failure) from None
        with process:
            before = b""
            try:
                if entered:
                    before = _up_to_the_beginning(process, until)
                    if BEGINS in before:
                        entered()
                output, error = process.communicate(script, timeout=max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired as problem:
                _kill(process)
                return None, before + (problem.output or b""), problem.stderr or b""
            except BaseException:
                _kill(process)
                raise
        return process.returncode, before + output, error

    def _no_entry(self, code: int | None, said: str, seconds: float) -> HostUnreachable:
        """Return why the script did not begin."""
        if code == 255:
            return self._failure(SshFailure.read(said, self.login))
        lines = [line.strip() for line in said.splitlines() if line.strip()] or ["without a word"]
        if code is None:
            return self._failure(SshFailure(f"no login within {seconds:g} s"))
        if self.login.become and any(line.startswith("sudo:") for line in lines):
            advice = f"let the user run commands as {self.login.become} without a password; try: {self.login.by_hand}"
            return self._failure(SshFailure(f"sudo refused: {lines[-1][:200]}", advice))
        return self._failure(SshFailure(f"the login ran no command: {lines[-1][:200]}"))

    def _failure(self, failure: SshFailure) -> HostUnreachable:
        return HostUnreachable(
            f"{self.host.name} cannot be looked at over SSH",
            expected=f"{self.login.by_hand} logs in without a question, and a script runs there to its end",
            observed=failure.reason,
            advice=failure.advice or f"try by hand: {self.login.by_hand}",
        )


class _Bounded(SshBackend):  # type: ignore[misc]
    """testinfra's ssh backend over a RemoteHost: its own has no end, and sudo might ask."""

    def __init__(self, remote: RemoteHost) -> None:
        super().__init__(f"[{remote.login.destination}]")
        self._remote = remote

    def run_ssh(self, command: str) -> Any:
        code, output, error = self._remote.exchange(command, TESTINFRA_SECONDS)
        return self.result(code, self.encode(command), output, error)


def _up_to_the_beginning(process: subprocess.Popen[bytes], until: float) -> bytes:
    """Return what comes until the host is entered, at the most until that moment or the end of the connection."""
    assert process.stdout is not None
    came = b""
    with selectors.DefaultSelector() as output:
        output.register(process.stdout, selectors.EVENT_READ)
        while BEGINS not in came and output.select(max(0.0, until - time.monotonic())):
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                break
            came += piece
    return came


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill ssh and what it started, such as the way through another host."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
