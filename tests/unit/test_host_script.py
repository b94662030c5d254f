"""The script of a look runs nothing that a node or a host says, keeps no secret of theirs, and says what it lacks."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures.rules.catalogue import catalogue
from fixtures.rules.judge import judge
from provisioning.evidence import HostEvidence
from provisioning.evidence.collect import LOOK_SECONDS, REST_SECONDS
from provisioning.evidence.host_script import DIALLED_AT_ONCE, look_script, read_look
from provisioning.evidence.hosts_look import WAY_SECONDS, look_at_hosts, look_everywhere
from provisioning.hosts.simulated import Exit
from provisioning.inventory import Inventory
from provisioning.waiting import wait_until
from tests.unit.listing import M1, R1, node_changed, seen_by_all, wanted
from tests.unit.test_resp import serving

pytestmark = pytest.mark.unit

HOST = wanted().hosts[0]
SECRET = "hunter2"
PORT_RULES = ("client-port-closed", "bus-port-closed")
AOF_CUT_SAID = "AOF x.incr.aof loaded anyway because aof-load-truncated is enabled"
MOST_IN_ONE_ARGUMENT = 128 * 1024
"""What Linux takes as one argument of a command (execve(2), MAX_ARG_STRLEN)."""

SCRIPT_SECONDS = 30
"""A guard against hanging: the script takes a tenth of a second, and CONNECT_SECONDS where an address is silent."""

DIALLER_DEPTH = 4
"""The script's shell, the bash in it, one shell for each address, and in that the process that dials."""


@dataclass
class Here:
    """This machine as a host; with ``said`` one that says just that."""

    said: str = ""

    def run(self, script: str, seconds: float) -> Exit:
        return Exit(0, self.said or shell(script))


def shell(script: str, path: str = os.environ["PATH"]) -> str:
    """Return what the shell of this machine prints for that script."""
    command = ["/bin/sh", "-c", script]
    return subprocess.run(
        command, env={"PATH": path}, capture_output=True, text=True, timeout=SCRIPT_SECONDS, check=False
    ).stdout


def alone(host: str = "redis-host-1") -> Inventory:
    """Return an inventory of that host only."""
    return replace(wanted(), hosts=(wanted().host(host),))


def tools(folder: Path, **scripts: str) -> str:
    """Return a PATH on which these scripts come first."""
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@contextmanager
def silent() -> Iterator[socket.socket]:
    """Yield a socket that listens on every address of loopback and whose queue is full: who dials has no answer."""
    with socket.create_server(("0.0.0.0", 0), backlog=0) as listening, ExitStack() as queue:
        with suppress(TimeoutError):
            while True:
                queue.enter_context(socket.create_connection(("127.0.0.1", listening.getsockname()[1]), timeout=0.3))
        yield listening


@contextmanager
def dialling(port: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Yield the script of a look that dials this port of loopback, and the process that dials."""
    command = ["/bin/sh", "-c", look_script(HOST, [("127.0.0.1", port)], remote=False)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as script:
        try:
            yield script, wait_until(lambda: dialler_of(script.pid), "a process that dials", SCRIPT_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(script.pid, signal.SIGKILL)


def dialler_of(script: int) -> int | None:
    """Return the process that waits for an answer, None as long as there is none."""
    listing = subprocess.run(["ps", "-s", str(script), "-o", "pid=,ppid="], capture_output=True, text=True, check=False)
    parents = {int(pid): int(parent) for pid, parent in map(str.split, listing.stdout.splitlines())}

    def depth(pid: int) -> int:
        return 1 + depth(parents[pid]) if pid in parents else 0

    return next((pid for pid in parents if depth(pid) == DIALLER_DEPTH), None)


def seen(targets: Iterable[tuple[str, int]], path: str = os.environ["PATH"]) -> HostEvidence:
    return read_look(HOST, shell(look_script(HOST, targets, remote=False), path), remote=False)


def answered(targets: Sequence[tuple[str, int]]) -> Mapping[str, bool] | None:
    """Return which of these ports are open, None where this machine gave one of the dials no time."""
    found = seen(targets).reachable_ports
    return found if found and len(found) == len(targets) else None


def test_an_address_is_never_run(tmp_path: Path) -> None:
    """Whatever stands where an address should be is dialled, not carried out."""
    trap = tmp_path / "made"
    for text in (f"$(touch${{IFS}}{trap})", f"`touch {trap}`", f'"; touch {trap}; "', f"'; touch {trap} #"):
        shell(look_script(HOST, [(text, 6379)], remote=False))
    assert not trap.exists()


def test_a_redirect_to_no_address_is_not_dialled_and_makes_the_verdict_unknown() -> None:
    """Nobody hands it to a shell, and the rule says that nobody dialled it."""
    hostile = "MOVED 0 $(touch${IFS}/tmp/x):6379"

    def answer(link: socket.socket, _: int) -> None:
        while received := link.recv(65536):
            said = [b"-ERR no"] * len(re.findall(rb"\n\*\d", received)) + [f"-{hostile}".encode()]
            link.sendall(b"\r\n".join(said) + b"\r\n")

    with serving(answer) as address:
        node = replace(HOST.nodes[0], outside=address, password="")
        inventory = replace(wanted(), hosts=(replace(HOST, nodes=(node,)),))
        scripts: list[str] = []

        class Kept(Here):
            def run(self, script: str, seconds: float) -> Exit:
                scripts.append(script)
                return Exit(0, "")

        looked = look_everywhere(inventory, accesses={HOST.name: Kept()})
    assert list((looked.nodes[0].moved or {}).values()) == [hostile]
    assert len(scripts) == 1
    assert "touch" not in scripts[0]
    judgement = judge(node_changed(seen_by_all(), M1, moved={0: hostile}))
    assert [rule for rule, _ in judgement.not_collected] == ["moved-to-unreachable-address"]


def test_refused_and_no_answer_are_closed() -> None:
    """Of an address that takes connections, one that refuses them and one that is silent only the first is open."""
    with socket.create_server(("127.0.0.1", 0)) as listening, silent() as mute:
        addresses = [("127.0.0.1", each.getsockname()[1]) for each in (listening, mute)]
        targets = [*addresses, ("127.0.0.1", 1)]
        found = wait_until(lambda: answered(targets), "a look in which the machine ran every dial", SCRIPT_SECONDS)
    assert found == {"127.0.0.1:1": False, **{f"{ip}:{port}": n == 0 for n, (ip, port) in enumerate(addresses)}}


def test_a_dial_that_the_host_does_not_run_is_not_called_closed() -> None:
    """Whoever got no processor for the whole of its time has had no answer for want of asking."""
    with silent() as mute, dialling(mute.getsockname()[1]) as (script, dialler):
        os.kill(dialler, signal.SIGSTOP)
        said, _ = script.communicate(timeout=SCRIPT_SECONDS)
    found = read_look(HOST, said, remote=False)
    assert found.reachable_ports == {}
    assert found.processes, "the rest of the script goes on"


def test_a_dial_that_ends_without_a_word_says_nothing_of_the_port() -> None:
    """As where it is killed, or no process can be made for it."""
    with silent() as mute, dialling(mute.getsockname()[1]) as (script, dialler):
        os.kill(dialler, signal.SIGKILL)
        said, _ = script.communicate(timeout=SCRIPT_SECONDS)
    assert read_look(HOST, said, remote=False).reachable_ports == {}


def test_a_host_without_tools_says_which(tmp_path: Path) -> None:
    """What they would have shown is missing, with the reason; it is not empty, and no port is closed."""
    found = seen([("127.0.0.1", 1)], str(tmp_path))
    assert (found.reachable_ports, found.listening, found.processes, found.open_files) == (None, None, None, None)
    assert {name: why.split()[3] for name, why in found.not_collected.items()} == {
        "reachable_ports": "bash",
        "listening": "ss",
        "processes": "ps",
        "open_files": "ps",
    }


def test_many_addresses_are_dialled_in_batches() -> None:
    """After a batch that took all the time there is no other; the script may be handed over as an argument.

    Of the batch itself those are missing, if any, to which a loaded machine gave no time to dial.
    """
    with silent() as mute:
        port = mute.getsockname()[1]
        targets = [(f"127.0.{n // 250}.{n % 250 + 1}", port) for n in range(3 * DIALLED_AT_ONCE)]
        found = seen(targets).reachable_ports
    assert found
    assert set(found) <= {f"{ip}:{port}" for ip, port in targets[:DIALLED_AT_ONCE]}
    assert not any(found.values())
    thousand_nodes = [(f"192.168.{n // 250}.{n % 250 + 1}", port) for n in range(1000) for port in (6379, 16379)]
    assert len(look_script(HOST, thousand_nodes, remote=False)) < MOST_IN_ONE_ARGUMENT


def test_passwords_of_acl_users_in_a_file_are_left_out() -> None:
    """The directive stays, and with it nothing of the user; the same for a command's secret name."""
    file = HOST.nodes[0].config_file
    lines = (f"user app on >{SECRET} ~* +@all", f'USER "other" on ">{SECRET}"', f"rename-command CONFIG {SECRET}")
    found = read_look(HOST, "\n".join(f"{file} {line}" for line in lines), remote=True)
    assert set((found.directives or {})[M1]) == {"user", "rename-command"}
    assert SECRET not in json.dumps(found.to_dict())


def test_command_lines_of_a_real_host_stay_there() -> None:
    """Of servers and engines what they are is kept, of all others nothing; the look's own are left out."""
    lines = (
        "session 9",
        "process 1 1 0 0 0 mysqld --password=hunter2",
        "process 1 2 1 0 0 /usr/bin/dockerd --token hunter2",
        "process 1 3 1 5 5 redis-server --requirepass hunter2:6373",
        "process 1 4 1 5 5 /usr/bin/redis-server 10.0.0.1:6373 [cluster]",
        "process 1 5 1 5 5 valkey-server *:6374 --requirepass hunter2",
        "process 9 6 1 5 5 redis-server *:7000 [cluster]",
    )
    found = read_look(HOST, "\n".join(lines), remote=True)
    assert found.processes == (
        "2 1 0 0 /usr/bin/dockerd",
        "4 1 5 5 /usr/bin/redis-server 10.0.0.1:6373 [cluster]",
        "5 1 5 5 valkey-server *:6374",
    )


def test_a_process_without_a_command_line_is_passed_over() -> None:
    """It is none that anybody asks for, and the limits of the others are still read."""
    lines = ("process 1 7 1 5 5 ", "process ", "process 1 8 1 5 5 redis-server *:6373 [cluster]", "limit 8 10032")
    found = read_look(HOST, "\n".join(lines), remote=False)
    assert found.processes == ("8 1 5 5 redis-server *:6373 [cluster]",)
    assert found.open_files == {M1: 10032}


def test_a_container_that_is_not_there_is_absent(tmp_path: Path) -> None:
    """``docker inspect`` says nothing of it, or an empty line; of the other one all that there is, its log too."""
    shown = {"State": {"Status": "running"}, "Config": {"Image": r"redis:8 \n"}, "Image": "sha256:1", "HostConfig": {}}
    (tmp_path / "shown").write_text(f"/redis_slave 2026-11-28T22:28:36Z {json.dumps(shown)}\n\n", encoding="ascii")
    said = f"case $1 in inspect) cat {tmp_path}/shown;; logs) echo 1:M {AOF_CUT_SAID};; esac"
    path = tools(tmp_path, docker=said)
    found = read_look(HOST, shell(look_script(HOST, (), remote=True), path), remote=True).containers or {}
    assert {name: each.state for name, each in found.items()} == {M1: "absent", R1: "running"}
    assert (found[R1].image, found[R1].aof_cut) == (r"redis:8 \n", AOF_CUT_SAID)


@pytest.mark.parametrize("line", ["container redis_master {", "container redis_master null", "socket x", "connect a"])
def test_an_odd_line_is_a_host_that_cannot_be_read(line: str) -> None:
    """It is evidence that is missing, with the reason, and ends no look."""
    (found,) = look_at_hosts(alone(), (), None, {"redis-host-1": Here(f"engine installed yes\n{line}")})
    assert found.reachable_ports is None
    assert found.not_collected["reachable_ports"].startswith("what the host shows cannot be read: ")


@pytest.mark.parametrize("silent", [False, True], ids=["all-nodes-answer", "a-node-is-silent"])
def test_hosts_may_have_the_time_that_nodes_do_not_need(silent: bool) -> None:
    """So a slow host is still heard where no node is silent, and a whole look takes no longer than before."""
    given: list[float] = []

    class Kept(Here):
        def run(self, script: str, seconds: float) -> Exit:
            given.append(seconds)
            return Exit(0, "")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        if not silent:  # then the connection is refused, which is an answer
            listening.close()
        node = replace(HOST.nodes[0], outside=address)
        inventory = replace(wanted(), hosts=(replace(HOST, nodes=(node,)),))
        looked = look_everywhere(inventory, accesses={HOST.name: Kept()})
    (seconds,) = given
    at_least = REST_SECONDS - 2 * WAY_SECONDS
    assert looked.nodes[0].unreachable
    if silent:
        assert seconds == pytest.approx(at_least, abs=0.2)
    else:
        assert at_least + LOOK_SECONDS / 2 < seconds <= at_least + LOOK_SECONDS


def test_a_host_alone_dials_itself() -> None:
    """Where there is no other host that could; its own ports are then known, and decided."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        own = replace(HOST.nodes[0], lan="127.0.0.1", port=listening.getsockname()[1], bus_port=1)
        inventory = replace(wanted(), hosts=(replace(HOST, nodes=(own,)),))
        targets = [(own.lan, own.port), (own.lan, own.bus_port)]
        (found,) = look_at_hosts(inventory, targets, None, {HOST.name: Here()})
    assert found.reachable_ports == {f"127.0.0.1:{own.port}": True, "127.0.0.1:1": False}


def test_nobody_has_to_dial_the_ports_of_a_cluster_on_one_host() -> None:
    """With one host that dialled nothing no port is open to question; with another one it is."""
    whole = seen_by_all()
    for hosts, undecided in ((whole.hosts[:1], False), (whole.hosts[:2], True)):
        silent = tuple(replace(each, reachable_ports={}) for each in hosts)
        nodes = tuple(each for each in whole.nodes if each.host in {host.name for host in hosts})
        one = replace(whole, nodes=nodes, hosts=silent, wanted=alone())
        missing = {
            rule for rule, _ in judge(one, [each for each in catalogue() if each.id in PORT_RULES]).not_collected
        }
        assert missing == (set(PORT_RULES) if undecided else set())
