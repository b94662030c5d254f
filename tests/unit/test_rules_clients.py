"""Each rule on what a client sees finds its planted defect, and says it once however many nodes show it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.judge import judge
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence import Evidence
from provisioning.evidence.probe_result import ProbeResult
from provisioning.slots import SlotRange
from tests.unit.listing import (
    M1,
    M2,
    NAMES,
    R1,
    Entries,
    change,
    entries,
    findings,
    node_changed,
    node_id,
    seen_by_all,
)

pytestmark = pytest.mark.unit

PLACES = {0: "192.168.171.101:6373", 5461: "192.168.171.102:6373"}
"""Slot that is tried -> where its owner is."""


def all_meet(answer: str, *, read: bool = False, inventory: bool = True) -> Evidence:
    """Return the evidence in which the owner of slot 0 gives every client that answer."""
    evidence = seen_by_all()
    for name in NAMES:
        hops = () if name == M1 else (PLACES[0],)
        result = ProbeResult("" if read else answer, answer if read else "", hops)
        evidence = node_changed(evidence, name, probes={0: result})
    return evidence if inventory else replace(evidence, wanted=None)


def test_no_probe_is_no_finding() -> None:
    """Where nothing may be written the rules do not apply, and say so."""
    nodes = tuple(replace(node, probes=None) for node in seen_by_all().nodes)
    reasons = dict(judge(replace(seen_by_all(), nodes=nodes)).not_applicable)
    assert all(
        "--probe-writes" in reasons[rule] for rule in ("slot-not-writable", "slot-not-readable", "redirect-loop")
    )


def test_what_works_through_every_node_is_no_finding() -> None:
    """One redirect to the owner is how it should be."""
    evidence = seen_by_all()
    assert findings(evidence, "slot-not-writable") == ()
    assert findings(evidence, "slot-not-readable") == ()
    assert findings(evidence, "redirect-loop") == ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN: a slot has no working owner, or no majority"),
        ("CLUSTERDOWN Hash slot not served", "CLUSTERDOWN: nobody owns the slot"),
        ("NOREPLICAS Not enough good replicas to write.", f"{M1}, which has fewer replicas in sync than min-replicas"),
        ("OOM command not allowed when used memory > 'maxmemory'.", f"{M1}, which has its memory full"),
        ("MISCONF Errors writing to the AOF file: No space left on device", f"{M1}, which cannot save to disk"),
        ("READONLY You can't write against a read only replica.", f"{M1}, which says that it is a replica"),
        ("LOADING Redis is loading the dataset in memory", f"{M1}, which is still loading"),
        ("WRONGPASS invalid username-password pair or user is disabled.", f"{M1}, which has another password"),
        ("192.168.171.101:6373: no answer within the deadline", f"no answer from {M1}"),
        ("ERR something new", f"{M1}: ERR something new"),
    ],
)
def test_write_that_fails_is_told_once_and_in_words(answer: str, words: str) -> None:
    """Six clients meet the same answer: one finding on the shard's slots, that says what it means and who saw it."""
    (finding,) = findings(all_meet(answer), "slot-not-writable")
    assert finding.subject == "slots 0-5460"
    assert words in finding.message
    assert finding.seen_by == NAMES
    assert answer.startswith(finding.evidence)
    assert findings(all_meet(answer), "slot-not-readable") == ()


def test_silence_of_several_kinds_is_one_thing() -> None:
    """Refused by one client, reset for another: both got no answer from the same node."""
    evidence = all_meet("192.168.171.101:6373: [Errno 111] Connection refused")
    reset = ProbeResult("192.168.171.101:6373: [Errno 104] Connection reset by peer", "", (PLACES[0],))
    (finding,) = findings(node_changed(evidence, R1, probes={0: reset}), "slot-not-writable")
    assert finding.seen_by == NAMES


def test_address_that_leads_nowhere_is_named() -> None:
    """A redirect to an address that no view has is told by that address, apart from what other clients see."""
    stray = ProbeResult("172.17.0.1:6373: no answer within the deadline", "", ("172.17.0.1:6373",))
    (finding,) = findings(node_changed(seen_by_all(), R1, probes={0: stray}), "slot-not-writable")
    assert finding.message == "a write gets no answer from 172.17.0.1:6373"
    assert finding.seen_by == (R1,)


def test_value_that_is_gone_at_once_is_found() -> None:
    """An acknowledged value that is not there is found; where the node evicts, more memory is the repair."""
    gone = "the value that was just written is not there"
    evidence = all_meet(gone, read=True)
    (finding,) = findings(evidence, "slot-not-readable")
    assert M1 in finding.message
    assert finding.subject == "slots 0-5460"
    evicting = node_changed(evidence, M1, config={"maxmemory-policy": "allkeys-lru", "maxmemory": "1000"})
    (finding,) = findings(evicting, "slot-not-readable")
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CONFIG SET maxmemory 0"


def test_right_that_one_node_does_not_give_is_found() -> None:
    """NOPERM from one node only is a defect of that node, with the repair; from all it is our user's, and unknown."""
    answer = "NOPERM User default has no permissions to run the 'get' command"
    (finding,) = findings(all_meet(answer, read=True), "slot-not-readable")
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 ACL SETUSER default +get"
    evidence = seen_by_all()
    for name in NAMES:
        evidence = node_changed(evidence, name, probes={slot: ProbeResult("NOPERM x") for slot in (0, 5461, 10923)})
    judgement = judge(evidence)
    assert judgement.of("slot-not-writable") == ()
    assert {rule for rule, _ in judgement.not_collected} == {"slot-not-writable"}


def test_redirects_in_a_circle_are_found_with_the_way_out() -> None:
    """Each entry node sees another way round the same circle: one finding; the node that errs is told the owner."""

    def gave_away(lines: Entries) -> None:
        change(lines, M1, slots=(SlotRange(1, 5460),))
        change(lines, M2, slots=(SlotRange(0, 0), SlotRange(5461, 10922)))

    evidence = seen_by_all()
    mistaken = entries(M1)
    gave_away(mistaken)
    evidence = node_changed(evidence, M1, cluster_nodes=format_cluster_nodes(mistaken.values()))
    first, second = PLACES[0], PLACES[5461]
    for name in NAMES:
        hops = (second, first, second) if name == M1 else (first, second, first)
        trouble = f"redirected without end: {' -> '.join(hops)}"
        evidence = node_changed(evidence, name, probes={0: ProbeResult(trouble, "", hops, loop=True)})
    (finding,) = findings(evidence, "redirect-loop")
    assert finding.subject == "slots 0-5460"
    assert finding.message == f"redirects lead in a circle between {M1} and {M2}"
    assert finding.seen_by == NAMES
    assert finding.repair == f"redis-cli -h 192.168.171.101 -p 6373 CLUSTER SETSLOT 0 NODE {node_id(M1)}"
    assert findings(evidence, "slot-not-writable") == ()


def test_without_an_inventory_the_slot_is_named() -> None:
    """Where nobody knows the planned ranges the subject is the slot that was tried."""
    (finding,) = findings(all_meet("CLUSTERDOWN The cluster is down", inventory=False), "slot-not-writable")
    assert finding.subject == "slot 0"
