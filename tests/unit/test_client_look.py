"""What a client meets: by the name that a node announces, without a certificate, and with keys that stay behind."""

from __future__ import annotations

import socket
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest

from fixtures.looking import is_worse, probe_keys_left
from fixtures.report.html import head
from fixtures.report.summary import summary
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence import Evidence, NodeEvidence
from provisioning.evidence.client_probe import probed
from provisioning.evidence.collect import ask_more
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.evidence.probe_result import ProbeResult
from provisioning.inventory import Host, Inventory, Node, Tls
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, change, entries, node_changed, seen_by_all
from tests.unit.test_report import records, reported
from tests.unit.test_resp import answers, serving

pytestmark = pytest.mark.unit

WRITTEN_AND_READ = (b"+OK\r\n", b"$1\r\n1\r\n", b":1\r\n", b":0\r\n")
"""Answers to SET, GET, DEL and EXISTS."""

ONE_ADDRESS = "127.0.0.1"


def inventory_of(*nodes: Node) -> Inventory:
    return Inventory("x", tuple(Host(node.host, ONE_ADDRESS, (node,)) for node in nodes), 1000)


def test_a_redirect_to_an_announced_name_is_followed_to_the_node() -> None:
    """Not to whatever the name means here: it may mean nothing."""
    lines = entries(M2)
    change(lines, M2, hostname="node-2.invalid")
    view = format_cluster_nodes(lines.values())
    with (
        serving(answers(*[b"-MOVED 0 node-2.invalid:6373\r\n"] * 4)) as first,
        serving(answers(*WRITTEN_AND_READ)) as second,
    ):
        one = Node("redis-host-1", "redis_master", "master", 6373, 1, outside=first, slots=(SlotRange(0, 0),))
        two = Node("redis-host-2", "redis_master", "master", 6373, 1, announced="10.0.0.2", outside=second)
        evidence = Evidence((NodeEvidence(M1, host="redis-host-1"), NodeEvidence(M2, cluster_nodes=view)))
        found = probed(inventory_of(one, two), evidence, "run")
    assert found.nodes[0].probes == {0: ProbeResult(hops=("node-2.invalid:6373",))}


def test_a_name_that_can_be_no_hosts_is_reached_by_nobody() -> None:
    """A node that redirects there ends no look."""
    with serving(answers(*[b"+OK\r\n"] * 4)) as address:
        node = Node("h", "m", "master", 6373, 1, announced="a..b", outside=address)
        found = look_everywhere(inventory_of(node), from_here=True)
    assert found.reachable_ports == {"a..b:6373": False, "a..b:1": False}


@pytest.mark.skipif(which("openssl") is None, reason="there is no openssl command on this machine")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda each: each.name)
def test_who_has_no_certificate_is_kept_out(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A caller who did not log in has not our certificate either, and a handshake that is refused is no lack."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -days 2"
    made = (*command.split(), "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "ca.pem"))
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")

    def let_in(link: socket.socket, _: int) -> None:
        with context.wrap_socket(link, server_side=True) as secure:
            answers(b"+PONG\r\n*0\r\n")(secure, 0)

    with serving(let_in) as address:
        ca, key = str(tmp_path / "ca.pem"), str(tmp_path / "key.pem")
        node = Node("h", "m", "master", address[1], 1, outside=address, tls=Tls(ca, ca, key))
        for tls, word in ((node.tls, "NOAUTH"), (Tls(ca), "")):
            found = ask_more(inventory_of(replace(node, tls=tls)), Evidence((NodeEvidence("h/m", time=1.0),)))
            said = set((found.nodes[0].anonymous or {"": ""}).values())
            assert {each.partition(" ")[0] for each in said} == {word}, found.nodes[0]


def test_probe_keys_that_stay_are_in_the_report() -> None:
    """How many, and that they go by themselves; nothing is said where none stays."""
    probes = {0: ProbeResult(left=True), 1: ProbeResult(), 2: ProbeResult(left=True)}
    left = probe_keys_left(node_changed(seen_by_all(), M1, probes=probes))
    found = reported(records(evidence=[{"probe_keys_left": left}, {"probe_keys_left": 0}]))
    assert found["probe_keys_left"] == 2
    assert "probes    keys left: 2, gone within 60 s" in summary({**found})
    assert "Probe keys left: 2, gone within 60 s." in head({**found})
    none = reported(records(evidence=[{"probe_keys_left": 0}]))
    assert "keys left" not in "".join((*summary(none), head(none)))


def test_the_look_that_is_kept_is_the_worst() -> None:
    """A first look is replaced by one with an error, not by one that shows no worse."""
    whole, sick = seen_by_all(), seen_by_all(lambda lines: change(lines, M1, slots=()))
    warned = node_changed(whole, M1, config={"cluster-node-timeout": "999"})
    assert is_worse(sick, whole)
    assert is_worse(sick, None)
    assert not is_worse(whole, None)
    assert not is_worse(whole, sick)
    assert not is_worse(sick, sick)
    assert is_worse(replace(warned, wanted=None), whole)
