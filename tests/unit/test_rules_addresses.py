"""Each address rule finds its planted defect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.addresses import kind_of
from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from fixtures.rules.repair import on
from provisioning.evidence import Evidence
from tests.unit.listing import M1, M2, R1, change, entries, findings, node_changed, pasted, rules_in, seen_by_all

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("ip", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("172.17.0.2", "docker bridge"),
        ("172.18.0.2", "private"),
        ("173.17.0.3", "public"),
        ("240b:c0e0::1", "public"),
        ("fd00::1", "private"),
        ("4.x.x.6", "masked"),
        ("10.*.*.1", "masked"),
        ("test-node2", "hostname"),
        ("", ""),
    ],
)
def test_addresses_have_kinds(ip: str, kind: str) -> None:
    """Every sort of address that listings show is told apart."""
    assert kind_of(ip) == kind


@pytest.mark.parametrize("ip", ["127.0.0.1", "172.17.0.2", "0.0.0.0", "8.8.8.8"])
def test_unroutable_address_is_found(ip: str) -> None:
    """A loopback, bridge or unspecified address, or a public one among private ones, is found."""
    (finding,) = findings(pasted(lambda lines: change(lines, R1, ip=ip)), "unroutable-announced-address")
    assert finding.subject == f"{ip}:6374"


def test_address_that_is_not_the_inventorys_is_found() -> None:
    """A node announced under a plausible but wrong address is found by name, and the repair has the right one."""
    (finding,) = findings(
        seen_by_all(lambda lines: change(lines, R1, ip="192.168.171.9")), "unroutable-announced-address"
    )
    assert finding.subject == R1
    assert "CONFIG SET cluster-announce-ip 192.168.171.101" in finding.repair


def announced_as(evidence: Evidence, name: str, address: str) -> Evidence:
    """Return the evidence with another address for the node in the inventory."""
    assert evidence.wanted is not None
    node = replace(evidence.wanted.node(name), announced=address, lan=address)
    return replace(evidence, wanted=evidence.wanted.with_nodes({name: node}))


@pytest.mark.parametrize("hostname", ["", "r1.example.com", "R1.example.com.", "cache-1"])
def test_a_name_in_the_inventory_is_not_compared_with_an_ip(hostname: str) -> None:
    """A node that the inventory has by name is right under any IP, whatever can be told of its own name."""
    named = announced_as(seen_by_all(lambda lines: change(lines, R1, hostname=hostname)), R1, "r1.example.com")
    assert findings(named, "unroutable-announced-address") == ()
    assert named.wanted_by_id[entries()[R1].node_id].full_name == R1


def test_another_name_than_the_inventorys_is_found() -> None:
    """Of two qualified names that differ the repair announces the inventory's as a name, not as an IP."""
    other = announced_as(seen_by_all(lambda lines: change(lines, R1, hostname="x.example.com")), R1, "r1.example.com")
    (finding,) = findings(other, "unroutable-announced-address")
    assert finding.repair.endswith("CONFIG SET cluster-announce-hostname r1.example.com")
    loopback = announced_as(seen_by_all(lambda lines: change(lines, R1, ip="127.0.0.1")), R1, "r1.example.com")
    (finding,) = findings(loopback, "unroutable-announced-address")
    assert "announce-ip r1" not in finding.repair


def test_a_node_known_by_its_hostname_only_is_the_inventorys() -> None:
    """A node that did not answer is told by the hostname that others have for it."""
    evidence = announced_as(
        seen_by_all(lambda lines: change(lines, R1, hostname="r1.example.com")), R1, "r1.example.com"
    )
    silent = node_changed(evidence, R1, cluster_nodes=None, unreachable="no answer")
    assert findings(silent, "unexpected-node") == findings(silent, "missing-node") == ()


def test_one_ip_in_two_spellings_is_one_address() -> None:
    """IPs are compared as addresses, not as text; a wrong port alone is repaired as a port."""
    evidence = announced_as(seen_by_all(lambda lines: change(lines, R1, ip="fd00::1")), R1, "FD00:0::1")
    assert findings(evidence, "unroutable-announced-address") == ()
    (finding,) = findings(seen_by_all(lambda lines: change(lines, R1, port=7000)), "unroutable-announced-address")
    assert finding.repair.endswith("CONFIG SET cluster-announce-port 6374")


def test_own_line_without_ip_is_a_warning() -> None:
    """A node that does not know its own IP is found, and is not compared by host."""
    evidence = pasted(lambda lines: change(lines, M1, ip="", port=7000, bus_port=None))
    assert findings(evidence, "myself-without-ip")[0].severity == Severity.WARNING
    assert rules_in(evidence) == {"myself-without-ip"}


def test_hostnames_on_some_nodes_only_are_found() -> None:
    """A node without hostname among others with one is found; nodes without an address do not count."""
    names = {name: f"node-{n}.example" for n, name in enumerate(entries())}
    evidence = pasted(lambda lines: [change(lines, name, hostname=names[name]) for name in names if name != R1])
    assert [each.subject for each in findings(evidence, "hostname-missing-mixed")] == ["192.168.171.101:6374"]
    everyone = pasted(lambda lines: [change(lines, name, hostname=names[name]) for name in names])
    assert findings(everyone, "hostname-missing-mixed") == ()


def test_name_in_the_ip_field_is_found() -> None:
    """A hostname where an IP belongs is found; a masked address is none."""
    assert findings(pasted(lambda lines: change(lines, R1, ip="test-node2")), "hostname-in-ip-field")
    assert findings(pasted(lambda lines: change(lines, R1, ip="4.x.x.6")), "hostname-in-ip-field") == ()


def test_bus_port_is_the_offset_or_the_inventorys() -> None:
    """A bus port that is neither port + 10000 nor the inventory's is found; a missing or zero one is not."""
    assert findings(pasted(lambda lines: change(lines, R1, bus_port=7374)), "nonstandard-bus-port")
    assert findings(pasted(lambda lines: change(lines, R1, bus_port=None)), "nonstandard-bus-port") == ()
    evidence = seen_by_all(lambda lines: change(lines, R1, bus_port=7374))
    assert findings(evidence, "nonstandard-bus-port")[0].subject == R1
    assert evidence.wanted is not None
    meant = replace(evidence.wanted.node(R1), bus_port=7374)
    assert findings(replace(evidence, wanted=evidence.wanted.with_nodes({R1: meant})), "nonstandard-bus-port") == ()


@pytest.mark.parametrize(
    ("config", "repairs"),
    [
        ({"port": "6374", "cluster-port": "0"}, True),
        ({"port": "6374"}, True),
        ({"port": "6374", "cluster-port": "16374"}, True),
        ({"port": "6374", "cluster-port": "7374"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_no_bus_port_is_announced_at_which_nobody_listens(config: dict[str, str] | None, repairs: bool) -> None:
    """The command is offered where the node says that its bus is at the inventory's port; else links would break."""
    evidence = seen_by_all(lambda lines: change(lines, R1, bus_port=7374))
    nodes = tuple(replace(node, config=config) if node.name == R1 else node for node in evidence.nodes)
    (repair,) = {each.repair for each in findings(replace(evidence, nodes=nodes), "nonstandard-bus-port")}
    assert repair.endswith("CONFIG SET cluster-announce-bus-port 16374") == repairs
    assert repairs or repair.startswith("say in the inventory that it is meant")


def closed(evidence: Evidence, address: str) -> Evidence:
    hosts = tuple(
        replace(host, reachable_ports={**(host.reachable_ports or {}), address: False}) for host in evidence.hosts
    )
    return replace(evidence, hosts=hosts)


def test_redirect_to_an_unreachable_address_is_found() -> None:
    """A raw redirect to an address that no host can dial is found at the node that gives it."""
    evidence = closed(node_changed(seen_by_all(), M1, moved={5461: "MOVED 5461 172.17.0.1:6373"}), "172.17.0.1:6373")
    (finding,) = findings(evidence, "moved-to-unreachable-address")
    assert (finding.subject, finding.evidence) == (M1, "MOVED 5461 172.17.0.1:6373")


def test_redirect_that_nobody_dialled_is_unknown() -> None:
    """An address that a redirect names and nobody dialled makes the verdict unknown, not good."""
    judgement = judge(node_changed(seen_by_all(), M1, moved={5461: "MOVED 5461 10.9.9.9:6373"}))
    assert judgement.verdict == "unknown"
    assert [rule for rule, _ in judgement.not_collected] == ["moved-to-unreachable-address"]


@pytest.mark.parametrize("raw", ["MOVED 5461 ?:6373", "MOVED 5461 :6373"])
def test_redirect_without_host_is_found(raw: str) -> None:
    """A redirect without a host is an error, and a notice where that is configured."""
    evidence = node_changed(seen_by_all(), M2, moved={0: raw})
    assert findings(evidence, "moved-without-host")[0].severity == Severity.ERROR
    meant = node_changed(evidence, M2, config={"cluster-preferred-endpoint-type": "unknown-endpoint"})
    assert findings(meant, "moved-without-host")[0].severity == Severity.NOTICE


@pytest.mark.parametrize(
    ("command", "stands"),
    [
        ("CONFIG SET cluster-announce-ip 10.0.0.1", True),
        ('CONFIG SET save ""', True),
        ('ACL SETUSER default resetpass ">${REDISCLI_AUTH:?}"', True),
        ("CONFIG SET cluster-announce-ip <address that everybody reaches>", False),
        ("CLUSTER FORGET $(reboot)", False),
        ("CLUSTER REPLICATE a;reboot", False),
        ('CONFIG SET x "`reboot`"', False),
        ('CONFIG SET x "${HOME}"', False),
    ],
)
def test_a_repair_can_be_run_as_it_stands_or_says_that_it_cannot(command: str, stands: bool) -> None:
    """What a shell would act upon, from a listing of unknown origin, makes a sentence of the command."""
    evidence = seen_by_all()
    entry = evidence.views[0].entries[0]
    assert on(evidence, entry, command).startswith("redis-cli -h ") is stands
    hostile = replace(entry, ip="10.0.0.1;reboot", node_id="f" * 40)
    assert "'10.0.0.1;reboot'" in on(evidence, hostile, "PING")
