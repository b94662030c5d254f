"""A real host is entered as Ansible's variables say, and whatever keeps us out is one line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.ssh_login import HostUnreachable, SshLogin
from provisioning.inventory import Host
from provisioning.vault import Encrypted
from provisioning.waiting import wait_until
from tests.unit.test_resp import NO_HANG_SECONDS, answers, serving

pytestmark = pytest.mark.unit

needs_ssh = pytest.mark.skipif(which("ssh") is None, reason="there is no ssh command on this machine (openssh-client)")

UNKNOWN = "-F none -o UserKnownHostsFile=none -o GlobalKnownHostsFile=none"
"""Nothing of this machine's own settings and known hosts."""


def host(connection: str = "ssh", ansible_host: str = "10.0.0.1", **variables: Any) -> Host:
    return Host("h1", "10.0.0.1", (), ansible_host, connection, variables)


def refused(of: Host, seconds: float = 10.0) -> HostUnreachable:
    """Return the one error of a command on this host: in time, and with all that its reader needs."""
    began = time.monotonic()
    with pytest.raises(HostUnreachable) as caught:
        RemoteHost(of).run("true", seconds)
    assert time.monotonic() - began < seconds + NO_HANG_SECONDS
    assert "h1" in caught.value.summary
    assert caught.value.expected
    assert caught.value.advice
    assert "\n" not in caught.value.observed
    return caught.value


@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({}, []),
        ({"ansible_user": "ada", "ansible_port": 2222}, ["-p", "2222", "-l", "ada"]),
        ({"ansible_ssh_user": "ada", "ansible_ssh_port": "2222"}, ["-p", "2222", "-l", "ada"]),
        ({"ansible_ssh_private_key_file": os.devnull}, ["-i", os.devnull]),
        (
            {"ansible_ssh_common_args": "-o 'ProxyCommand=ssh -W %h:%p b'", "ansible_ssh_extra_args": "-4"},
            ["-o", "ProxyCommand=ssh -W %h:%p b", "-4"],
        ),
    ],
    ids=repr,
)
def test_variables_become_options(variables: dict[str, Any], options: list[str]) -> None:
    """In Ansible's words, after ours, and before the host's name; what is not said is left to ssh_config."""
    command = SshLogin.of(host(**variables)).command("true", 10)
    assert command[:2] == ["ssh", "-T"]
    assert command[2 : command.index("LogLevel=ERROR") + 1][1::2] == [
        "BatchMode=yes",
        "ConnectTimeout=5",
        "ControlMaster=no",
        "LogLevel=ERROR",
    ]
    assert command[command.index("LogLevel=ERROR") + 1 :] == [*options, "--", "10.0.0.1", "true"]


def test_a_key_is_looked_for_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the user's home, as for Ansible."""
    (tmp_path / "key").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert SshLogin.of(host(ansible_ssh_private_key_file="~/key")).key_file == str(tmp_path / "key")


@pytest.mark.parametrize(
    ("variables", "user"),
    [
        ({}, ""),
        ({"ansible_become": False, "ansible_become_user": "redis"}, ""),
        ({"ansible_become": True}, "root"),
        ({"ansible_become": "yes", "ansible_become_user": "redis"}, "redis"),
        ({"ansible_become": True, "ansible_become_method": "sudo", "ansible_become_password": Encrypted("x")}, "root"),
    ],
    ids=repr,
)
def test_becoming_another_user_is_asked_for(variables: dict[str, Any], user: str) -> None:
    """Only ansible_become asks for it; a password is left alone, encrypted or not."""
    assert SshLogin.of(host(**variables)).become == user


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (host("local"), "ansible_connection of h1: local"),
        (host("community.docker.docker"), "ansible_connection of h1: community.docker.docker"),
        (host(ansible_port="ssh"), "ansible_port of h1: found 'ssh'"),
        (host(ansible_user="{{ me }}"), "ansible_user of h1: {{ me }}"),
        (host(ansible_become="maybe"), "ansible_become of h1: found 'maybe'"),
        (host(ansible_become=True, ansible_become_method="su"), "ansible_become_method of h1: su"),
        (host(ansible_ssh_common_args="-o 'x"), "No closing quotation"),
        (host(ansible_ssh_private_key_file="/nowhere/key"), "/nowhere/key"),
    ],
    ids=lambda each: "" if isinstance(each, Host) else str(each),
)
def test_variables_that_are_not_understood_are_named(given: Host, says: str) -> None:
    """When something is to be run; a host that nobody enters may have any."""
    assert says in refused(given).observed


def test_further_options_are_not_shown() -> None:
    """They may hold a password for the way there; that there are some is said."""
    login = SshLogin.of(host(ansible_ssh_common_args="-o ProxyCommand='sshpass -p S3CRET ssh b'", ansible_user="ada"))
    assert login.by_hand == "ssh -l ada 10.0.0.1 (and the inventory's ansible_ssh_*_args)"


def test_an_old_host_key_is_removed_under_the_name_that_it_has() -> None:
    """ssh writes a port that is not the usual one with the host."""
    assert SshLogin.of(host()).known_as == SshLogin.of(host(ansible_port=22)).known_as == "10.0.0.1"
    assert SshLogin.of(host(ansible_port=2222)).known_as == "'[10.0.0.1]:2222'"


def test_without_ssh_it_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine has no ssh: what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = refused(host())
    assert problem.observed == "there is no ssh command here"
    assert "openssh-client" in problem.advice


@needs_ssh
def test_a_port_that_is_no_ssh_is_one_line() -> None:
    """Nobody there, or something that hangs up."""
    nobody = host(ansible_host="127.0.0.1", ansible_port=1, ansible_ssh_common_args=UNKNOWN)
    assert refused(nobody).observed == "nothing listens for SSH at port 1: connection refused"
    with serving(answers()) as (address, port):
        given = host(ansible_host=address, ansible_port=port, ansible_ssh_common_args=UNKNOWN)
        assert refused(given).observed == "the connection was closed before the login"


@needs_ssh
def test_a_port_that_is_silent_ends_in_time() -> None:
    """The connection is taken, and nothing follows."""

    def silent(link: Any, _: int) -> None:
        while link.recv(65536):
            pass

    with serving(silent) as (address, port):
        given = host(ansible_host=address, ansible_port=port, ansible_ssh_common_args=UNKNOWN)
        assert refused(given, 2.0).observed == "no answer: the connection timed out"


@needs_ssh
def test_a_way_through_another_host_ends_in_time_too(tmp_path: Path) -> None:
    """A proxy command that never answers is ended with the rest."""
    proxy, pid = tmp_path / "proxy", tmp_path / "pid"
    proxy.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 600\n", encoding="utf-8")
    proxy.chmod(0o755)
    given = host(ansible_ssh_common_args=f"{UNKNOWN} -o ProxyCommand={proxy}")
    assert refused(given, 5.0).observed in ("no login within 5 s", "no answer: the connection timed out")
    line = f"/proc/{pid.read_text(encoding='ascii').strip()}/cmdline"
    wait_until(
        lambda: not (Path(line).exists() and Path(line).read_bytes()), "the end of the proxy command", NO_HANG_SECONDS
    )


@needs_ssh
def test_a_name_without_an_address_is_named() -> None:
    """As the inventory has it."""
    given = host(ansible_host="no..name", ansible_ssh_common_args=UNKNOWN)
    assert refused(given).observed == "the name no..name has no address here"
