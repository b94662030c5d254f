"""A host is entered over SSH as its inventory says, or one line says why not; nothing takes for ever or stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from fixtures.session import Session
from provisioning.cluster import Cluster
from provisioning.evidence.hosts_look import look_at_hosts
from provisioning.hosts.remote import RemoteHost
from provisioning.hosts.simulated import Exit, File, SimulatedHost
from provisioning.hosts.ssh_login import HostUnreachable
from provisioning.inventory import Host
from provisioning.ownership import CLUSTER_LABEL, objects, remove
from provisioning.playground import PREFIX
from provisioning.reach import chosen_reach
from provisioning.waiting import wait_until
from tests.access.ssh_server import FOLDER, MAY_NOT_SUDO, MAY_SUDO, PORT, SUDOERS, SshServer, serving_ssh

pytestmark = pytest.mark.destructive

SECONDS = 20.0
"""Budget of a command that ends; it takes a third of a second on an idle machine."""

ENDLESS_SECONDS = 10.0
"""Budget of one that does not end, which has to be entered and begun in that time."""

SLOW_LOGIN_SECONDS = 1.5

AWAY, AWAY_SAYS = "/usr/local/bin/away", "This account is currently not available."
"""A login shell for those who may not enter, and what it says as nologin does: not as an error."""

GRACE_SECONDS = 30.0
"""What a loaded machine may need beyond a budget; what hangs does so for longer."""


@pytest.fixture(autouse=True, scope="module")
def _ssh_from_here(gauntlet: Session, pytestconfig: pytest.Config) -> None:
    if which("ssh") is None:
        pytest.skip("there is no ssh command on this machine (openssh-client)")
    if chosen_reach(gauntlet.engine, pytestconfig.getoption("reach")) != "direct":
        pytest.skip("hosts are reached through published ports only, and SSH has none")


@pytest.fixture(scope="module")
def simulated_host(gauntlet: Session) -> Iterator[SimulatedHost]:
    """A simulated host without nodes."""
    api: Any = gauntlet.engine.client.api
    name = f"{PREFIX}{gauntlet.run.id}-{gauntlet.worker}-ssh"
    try:
        api.create_container(
            gauntlet.images.host,
            name=name,
            command=["sleep", "infinity"],
            hostname="redis-host-ssh",
            labels=gauntlet.run.labels(name),
            host_config=api.create_host_config(cap_add=["NET_ADMIN"], init=True),
        )
        host = SimulatedHost(gauntlet.engine, name)
        host.start()
        yield host
    finally:
        remove(gauntlet.engine, objects(gauntlet.engine, {CLUSTER_LABEL: name}))


@pytest.fixture(scope="module")
def started(simulated_host: SimulatedHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """An SSH server on it, of which nothing stays."""
    before = trace(simulated_host)
    address = simulated_host.sure("hostname", "-i").strip()
    wanted = Host("redis-host-ssh", address, (), address)
    with serving_ssh(simulated_host, wanted, tmp_path_factory.mktemp("ssh")) as server:
        yield server
    _wait_as(before, simulated_host)


@pytest.fixture
def server(started: SshServer) -> Iterator[SshServer]:
    """The same for one test, after which it is as before: no session and no command is left."""
    before = trace(started.host)
    yield started
    _wait_as(before, started.host)


def _wait_as(before: str, host: SimulatedHost) -> None:
    wait_until(lambda: trace(host) == before, before, SECONDS, shown=lambda: trace(host), poll=0.2)


def trace(host: SimulatedHost) -> str:
    """Return what a server, a session or a command leaves on a host: sockets, processes, accounts, files, rules.

    Nothing of the look itself is in it: ``ps`` runs alone, as a neighbour in a pipe that is not yet what it
    will be is shown under another name.
    """
    return host.sure(
        "sh",
        "-c",
        "all=$(ps -eo args=); printf '%s\\n' \"$all\" | grep -vE '^(ps|sh) '; ss -tlnH | awk '{print $4}' | sort;"
        " cat /etc/passwd /etc/group; ls -A /run /etc/sudoers.d /home; iptables -S",
    )


def reason(host: Host, seconds: float = SECONDS) -> str:
    """Return the one line that says why nothing can be run on this host; that it was in time is asserted."""
    began = time.monotonic()
    with pytest.raises(HostUnreachable) as caught:
        RemoteHost(host).run("echo in", seconds)
    assert time.monotonic() - began < seconds + GRACE_SECONDS
    assert host.name in caught.value.summary
    assert caught.value.expected
    assert caught.value.advice
    assert "\n" not in caught.value.observed
    return caught.value.observed


def test_a_command_is_run_there(server: SshServer) -> None:
    """Its exit code and all that it says come back; the script may be long, and has nothing to read."""
    remote = RemoteHost(server.real())
    assert remote.run("hostname; id -un", SECONDS) == Exit(0, f"{server.wanted.name}\nroot\n")
    assert remote.run("echo out; echo err >&2; cat; exit 255", SECONDS) == Exit(255, "out\nerr\n")
    assert remote.run(f"# {'x' * 300_000}\nprintf 'no end of line'", SECONDS) == Exit(0, "no end of line")


def test_the_moment_of_entry_is_known(server: SshServer) -> None:
    """It comes after a slow login, and before the script; where nobody is let in there is none."""
    slow = "/etc/ssh/sshrc"
    server.host.put([File(slow, f"sleep {SLOW_LOGIN_SECONDS}\n")])
    entered: list[float] = []
    try:
        began = time.time()
        ended = RemoteHost(server.real()).run("date +%s.%N", SECONDS, lambda: entered.append(time.time()))
    finally:
        server.host.sure("rm", slow)
    assert began + SLOW_LOGIN_SECONDS <= entered[0] <= float(ended.output)
    with pytest.raises(HostUnreachable):
        RemoteHost(server.real(ansible_user="nobody-of-that-name")).run(
            "true", SECONDS, lambda: entered.append(time.time())
        )
    assert len(entered) == 1


def test_testinfra_looks_there(server: SshServer) -> None:
    """testinfra's own modules work over the same connection, on the very host."""
    host = RemoteHost(server.real()).testinfra
    assert host.backend.get_connection_type() == "ssh"
    assert host.check_output("hostname") == server.wanted.name
    sudoers = host.file(SUDOERS)
    assert (sudoers.user, oct(sudoers.mode)) == ("root", "0o440")
    assert host.run("echo out; echo err >&2; exit 3").stderr == "err\n"


def test_several_threads_look_at_once(server: SshServer) -> None:
    """Each gets its own answer."""
    remote = RemoteHost(server.real())
    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(lambda n: remote.run(f"echo {n}", SECONDS).output, range(3)))
    assert said == ["0\n", "1\n", "2\n"]


def test_sudo_is_used_where_it_is_asked_for(server: SshServer) -> None:
    """With ansible_become the script runs as root, or as the user that is named, whatever the login says first."""
    user = {"ansible_user": MAY_SUDO}
    for variables, name in (
        (user, MAY_SUDO),
        (user | {"ansible_become": True}, "root"),
        (user | {"ansible_become": "yes", "ansible_become_user": MAY_NOT_SUDO}, MAY_NOT_SUDO),
    ):
        assert RemoteHost(server.real(**variables)).run("id -un", SECONDS) == Exit(0, f"{name}\n")


def test_sudo_that_wants_a_password_is_named(server: SshServer) -> None:
    """It is never let ask for one."""
    said = reason(server.real(ansible_user=MAY_NOT_SUDO, ansible_become=True))
    assert said == "sudo refused: sudo: a password is required"


def test_a_wrong_key_is_named(server: SshServer) -> None:
    """And so is a user that is not there: sshd does not tell which of the two it is."""
    wrong = server.real(ansible_ssh_private_key_file=str(server.folder / "wrong_key"))
    assert reason(wrong) == "user root is refused: Permission denied (publickey)"
    nobody = server.real(ansible_user="nobody-of-that-name")
    assert reason(nobody).startswith("user nobody-of-that-name is refused")


def test_an_account_without_a_shell_is_named(server: SshServer) -> None:
    """A login that runs no command is no access, and sudo has no part in it."""
    try:
        server.host.sure("usermod", "--shell", "/bin/false", MAY_SUDO)
        assert reason(server.real(ansible_user=MAY_SUDO)).startswith("the login ran no command")
        server.host.put([File(AWAY, f"#!/bin/sh\necho '{AWAY_SAYS}'\nexit 1\n", mode=0o755)])
        server.host.sure("usermod", "--shell", AWAY, MAY_SUDO)
        said = reason(server.real(ansible_user=MAY_SUDO, ansible_become=True))
        assert said == f"the login ran no command: {AWAY_SAYS}"
    finally:
        server.host.sure("usermod", "--shell", "/bin/bash", MAY_SUDO)


def test_an_unknown_host_key_is_named(server: SshServer) -> None:
    """Nobody is let in, and nobody is written down as known."""
    assert reason(server.real("empty_known_hosts")) == "its host key is not known here"
    assert (server.folder / "empty_known_hosts").read_text(encoding="ascii") == ""


def test_a_changed_host_key_is_named(server: SshServer) -> None:
    """It is told apart from one that was never known."""
    assert reason(server.real("other_known_hosts")) == "its host key is another than the known one"


def test_a_closed_port_is_named(server: SshServer) -> None:
    """With the port."""
    assert "at port 23: connection refused" in reason(server.real(ansible_port=23))


def test_a_black_hole_ends_in_time(server: SshServer) -> None:
    """A host that lets nothing in and says nothing takes no longer than the budget."""
    rule = ("-p", "tcp", "--dport", str(PORT), "-j", "DROP")
    server.host.sure("iptables", "-I", "INPUT", *rule)
    try:
        assert reason(server.real(), 2.0) == "no answer: the connection timed out"
    finally:
        server.host.sure("iptables", "-D", "INPUT", *rule)


def test_a_server_that_hangs_ends_in_time(server: SshServer) -> None:
    """Nor does one whose kernel takes the connection and whose sshd says nothing."""
    pid = server.host.read(f"{FOLDER}/sshd.pid").strip()
    server.host.sure("kill", "-STOP", pid)
    try:
        assert reason(server.real(), 2.0) == "no answer: the connection timed out"
    finally:
        server.host.sure("kill", "-CONT", pid)


def test_a_command_without_end_is_ended(server: SshServer) -> None:
    """After its budget, here and there: nothing of it stays on the host (the fixture looks)."""
    remote = RemoteHost(server.real())
    began = time.monotonic()
    with pytest.raises(HostUnreachable) as caught:
        remote.run("echo begun; exec sleep 600", ENDLESS_SECONDS)
    assert time.monotonic() - began < ENDLESS_SECONDS + GRACE_SECONDS
    assert caught.value.observed == f"the command did not end within {ENDLESS_SECONDS:g} s"


def test_a_connection_that_is_lost_is_named(server: SshServer) -> None:
    """Half a look is none."""
    remote = RemoteHost(server.real())
    with pytest.raises(HostUnreachable) as caught:
        remote.run("echo half; pkill -KILL -x sshd-session; sleep 0.2", SECONDS)
    assert caught.value.observed == "the connection was lost"


def test_a_look_over_ssh_sees_the_same(writable_cluster: Cluster, tmp_path: Path) -> None:
    """A host with nodes shows over SSH what it shows to the engine: processes, sockets, files, directives, limits."""
    simulation = writable_cluster.simulated
    inventory = simulation.inventory
    wanted = inventory.hosts[0]
    address = wanted.nodes[0].outside[0]
    (known,) = look_at_hosts(replace(inventory, hosts=(wanted,)), [], simulation, {})
    with serving_ssh(simulation.hosts[wanted.name], replace(wanted, ansible_host=address), tmp_path) as server:
        remote = RemoteHost(server.real())
        (seen,) = look_at_hosts(inventory, [], None, {wanted.name: remote})
    assert not seen.not_collected
    ours = {f"{each}:{PORT}" for each in ("0.0.0.0", "[::]")}
    assert set(seen.listening or ()) - ours == set(known.listening or ())
    servers = [line for line in known.processes or () if "-server" in line]
    assert servers
    assert set(servers) <= set(seen.processes or ())
    assert (seen.directives, seen.open_files, seen.facts) == (
        known.directives,
        known.open_files,
        {name: value for name, value in known.facts.items() if name != "networks"},
    )
