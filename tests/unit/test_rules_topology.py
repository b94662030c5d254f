"""Each topology rule finds its planted defect, names it, and is silent on a healthy cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from fixtures.rules.registry import RULES
from provisioning.evidence import Evidence
from provisioning.node_entry import NodeEntry
from provisioning.slots import SlotRange
from tests.unit.listing import (
    M1,
    M2,
    M3,
    NAMES,
    R1,
    R2,
    R3,
    Edit,
    Entries,
    change,
    findings,
    node_changed,
    node_id,
    pasted,
    rules_in,
    seen_by_all,
)

pytestmark = pytest.mark.unit

STRANGER = "ab" * 20


def plant(name: str, **changes: Any) -> Edit:
    return lambda lines: change(lines, name, **changes)


def extra(lines: Entries, flags: str, address: str = "192.168.171.104:6373", **changes: Any) -> None:
    ip, _, port = address.partition(":")
    entry = NodeEntry(STRANGER, ip, int(port), int(port) + 10000, flags=frozenset(flags.split(",")))
    lines["stranger"] = replace(entry, **changes)


def only_myself(lines: Entries) -> None:
    for name in NAMES[1:]:
        del lines[name]


def two_masters(lines: Entries) -> None:
    change(lines, M2, slots=(SlotRange(5461, 16383),))
    change(lines, M3, slots=(), role="replica", master_id=node_id(M2))


PLANTS: dict[str, tuple[Edit, str]] = {
    "slots-uncovered": (plant(M2, slots=(SlotRange(5461, 10000),)), "slots 10001-10922"),
    "slot-overlap": (plant(M2, slots=(SlotRange(5460, 10922),)), "slots 5460"),
    "slots-owned-by-failed-master": (plant(M2, flag="fail"), "192.168.171.102:6373"),
    "open-slot-migrating": (plant(M1, migrating=((93, node_id(M2)),)), "192.168.171.101:6373"),
    "open-slot-importing": (plant(M1, importing=((9300, node_id(M2)),)), "192.168.171.101:6373"),
    "open-slot-on-replica": (plant(R1, importing=((9300, node_id(M3)),)), "192.168.171.101:6374"),
    "node-fail": (plant(R1, flag="fail"), "192.168.171.101:6374"),
    "node-pfail": (plant(R1, flag="pfail"), "192.168.171.101:6374"),
    "node-handshake": (lambda lines: extra(lines, "handshake"), "192.168.171.104:6373"),
    "node-noaddr": (plant(R1, flag="noaddr", ip="", port=0, bus_port=0), node_id(R1)[:8]),
    "link-disconnected": (plant(R1, link_state="disconnected"), "192.168.171.101:6374"),
    "failed-but-connected": (plant(R1, flag="fail"), "192.168.171.101:6374"),
    "failed-master-without-slots": (lambda lines: extra(lines, "master,fail"), "192.168.171.104:6373"),
    "empty-master": (lambda lines: extra(lines, "master"), "192.168.171.104:6373"),
    "too-few-masters": (two_masters, "cluster"),
    "isolated-single-node": (only_myself, "192.168.171.101:6373"),
    "duplicate-address": (lambda lines: extra(lines, "replica", "192.168.171.101:6374"), "192.168.171.101:6374"),
    "replica-of-unknown-master": (plant(R1, master_id=STRANGER), "192.168.171.101:6374"),
    "replica-of-replica": (plant(R1, master_id=node_id(R2)), "192.168.171.101:6374"),
    "replica-owns-slots": (plant(R1, slots=(SlotRange(1, 2),)), "192.168.171.101:6374"),
    "epoch-collision": (plant(M2, config_epoch=1), "192.168.171.101:6373 and 192.168.171.102:6373"),
    "uneven-slots": (two_masters, "192.168.171.102:6373"),
    "nofailover-flag": (plant(R1, flag="nofailover"), "192.168.171.101:6374"),
    "corrupted-output": (plant(R1, link_state="connecte"), "listing 1"),
}
"""Rule -> the defect to plant in one view, and the subject under which it must be found."""


@pytest.mark.parametrize("rule", PLANTS)
def test_planted_defect_is_found_in_one_pasted_view(rule: str) -> None:
    """A defect that one view shows is found under its id, with its subject, its line and a repair."""
    edit, subject = PLANTS[rule]
    found = findings(pasted(edit), rule)
    assert subject in [finding.subject for finding in found]
    assert all(finding.rule == rule and finding.message and finding.repair and finding.evidence for finding in found)


def test_healthy_listing_has_no_finding() -> None:
    """A pasted healthy listing holds, and what needs more than a listing is not applicable."""
    judgement = judge(pasted())
    assert [str(finding) for finding in judgement.findings] == []
    assert judgement.not_collected == ()
    assert judgement.verdict == "holds"
    assert {"replica-link-down", "views-disagree", "missing-node", "bus-port-closed"} <= dict(
        judgement.not_applicable
    ).keys()


def test_healthy_cluster_has_no_finding() -> None:
    """Complete evidence of a healthy cluster holds, with every rule applied."""
    judgement = judge(seen_by_all())
    assert [str(finding) for finding in judgement.findings] == []
    assert judgement.not_collected == ()
    assert judgement.not_applicable == ()
    assert judgement.verdict == "holds"


def test_what_all_views_show_is_one_finding() -> None:
    """A defect that six views show is one finding that names its six viewers."""
    (finding,) = findings(seen_by_all(plant(R1, flag="fail")), "node-fail")
    assert finding.subject == R1
    assert finding.seen_by == NAMES


@pytest.mark.parametrize("flags", ["fail", "pfail", "noaddr"])
def test_lost_master_is_not_called_empty(flags: str) -> None:
    """A lost master without slots is a ghost to forget, not a live master without slots."""
    evidence = pasted(lambda lines: extra(lines, f"master,{flags}"))
    assert findings(evidence, "empty-master") == ()
    (finding,) = findings(evidence, "failed-master-without-slots")
    assert f"CLUSTER FORGET {STRANGER}" in finding.repair


def test_failover_without_majority_is_a_takeover() -> None:
    """Where no majority of masters is left, the repair is TAKEOVER; where there is one, FORCE."""
    one = pasted(plant(M2, flag="fail"))
    two = pasted(plant(M2, flag="pfail"), plant(M3, flag="pfail"))
    assert "FAILOVER FORCE" in findings(one, "slots-owned-by-failed-master")[0].repair
    assert all("FAILOVER TAKEOVER" in each.repair for each in findings(two, "slots-owned-by-failed-master"))


def test_unreadable_line_is_a_finding_with_number_and_text() -> None:
    """A line that cannot be read is shown with its number and its text."""
    text = (pasted().nodes[0].cluster_nodes or "") + "what is this\n"
    (finding,) = findings(Evidence.of_listings([("", text)]), "corrupted-output")
    assert "line 7" in finding.message
    assert "what is this" in finding.message


def test_two_claims_on_own_lines_overlap() -> None:
    """Two nodes that each claim a slot on their own line overlap although no single view shows it."""
    other = seen_by_all(plant(M2, slots=(SlotRange(5460, 10922),)), plant(M1, slots=(SlotRange(0, 5459),)), only=[M2])
    (finding,) = findings(other, "slot-overlap")
    assert finding.subject == "slots 5460"
    assert finding.seen_by == (M2, M1)


def test_disagreement_says_who_says_what() -> None:
    """Views that differ are shown with the statement of each side."""
    evidence = seen_by_all(plant(R1, master_id=node_id(M3)), only=[M3])
    (finding,) = findings(evidence, "views-disagree")
    assert finding.subject == R1
    assert f"{M3} says replica of {M3}" in finding.evidence


def test_stale_claim_is_told_from_a_late_view() -> None:
    """A claim against a newer epoch that the claimant knows of is stale; not having heard of an election is not."""

    def claim(lines: Entries) -> None:
        change(lines, M1, slots=(), flag="fail", config_epoch=8)
        change(lines, R3, role="master", master_id="", slots=(SlotRange(0, 5460),), config_epoch=7)

    others: Edit = plant(M1, flag="fail", config_epoch=8)
    stale = seen_by_all(others)
    claiming = seen_by_all(claim).node(R3)
    assert claiming is not None
    stale = replace(stale, nodes=tuple(claiming if node.name == R3 else node for node in stale.nodes))
    (finding,) = findings(stale, "stale-claim")
    assert finding.subject == R3
    assert "CLUSTER BUMPEPOCH" in finding.repair  # it takes itself for a master: CLUSTER FAILOVER is refused

    def elected(lines: Entries) -> None:
        change(lines, M1, role="replica", slots=(), master_id=node_id(R3))
        change(lines, R3, role="master", master_id="", slots=(SlotRange(0, 5460),), config_epoch=9)

    late = seen_by_all(elected, only=[M2, R2, M3, R3, R1])
    assert "views-disagree" in rules_in(late)
    assert findings(late, "stale-claim") == ()


@pytest.mark.parametrize("epoch", [1, 9])
def test_stale_claim_of_a_silent_node_is_told_from_a_late_view(epoch: int) -> None:
    """Whom somebody names as master without a newer epoch than the owner's claims stale; with one others are late."""

    def named(lines: Entries) -> None:
        change(lines, M1, slots=())
        change(lines, R3, role="master", master_id="", slots=(SlotRange(0, 5460),), config_epoch=epoch)

    lines = ((name, seen_by_all(named if name == M2 else lambda _: None).node(name)) for name in (M1, M2, M3))
    evidence = Evidence.of_listings([(name, node.cluster_nodes or "") for name, node in lines if node is not None])
    found = findings(evidence, "stale-claim")
    assert [(each.subject, each.seen_by) for each in found] == [("192.168.171.103:6374", (M2, M1, M3))][: epoch == 1]

    def elected(lines: Entries) -> None:
        change(lines, M1, role="replica", slots=(), master_id=node_id(R3), config_epoch=epoch + 1)
        change(lines, R3, role="master", master_id="", slots=(SlotRange(0, 5460),), config_epoch=epoch + 1)

    late = node_changed(seen_by_all(elected, only=[M2, R2, R3, R1]), M1, cluster_nodes=None, unreachable="dead")
    assert "views-disagree" in rules_in(late)
    assert findings(late, "stale-claim") == ()


def test_slots_and_shards_must_say_what_nodes_says() -> None:
    """CLUSTER SLOTS or CLUSTER SHARDS that contradicts CLUSTER NODES is found."""
    evidence = seen_by_all()
    node = evidence.node(M1)
    assert node is not None
    assert node.cluster_slots is not None
    assert node.cluster_shards is not None
    without = node_changed(evidence, M1, cluster_slots=node.cluster_slots[1:])
    doubled = node_changed(evidence, M1, cluster_shards=[*node.cluster_shards, node.cluster_shards[0]])
    emptied = node_changed(
        evidence, M1, cluster_shards=[["slots", [], *node.cluster_shards[0][2:]], *node.cluster_shards[1:]]
    )
    assert findings(without, "shards-disagree")
    assert findings(doubled, "shards-disagree")
    assert findings(emptied, "shards-disagree")


@pytest.mark.parametrize(
    ("said", "missing"), [("NOPERM no right", 1), ("LOADING it", 1), ("ERR Unknown subcommand", 0)]
)
def test_shards_that_a_server_refuses_are_not_taken_for_right(said: str, missing: int) -> None:
    """A refused CLUSTER SHARDS leaves the rule undecided there; a server without that command leaves nothing out."""
    evidence = node_changed(seen_by_all(), M1, cluster_shards=None, not_collected={"cluster_shards": said})
    judgement = judge(evidence, [RULES["shards-disagree"]])
    assert judgement.not_collected == (("shards-disagree", f"{M1}: CLUSTER SHARDS: {said}"),) * missing


def test_slots_may_leave_out_a_replica_without_offset() -> None:
    """CLUSTER SLOTS leaves out a replica with offset 0: as designed; one with an offset is missed."""
    evidence = seen_by_all()
    node = evidence.node(M1)
    assert node is not None
    assert node.cluster_slots is not None
    bare = [row[:3] for row in node.cluster_slots]
    missed = node_changed(evidence, M1, cluster_slots=bare)
    assert len(findings(missed, "shards-disagree")) == 3
    assert findings(node_changed(missed, M1, cluster_shards=None), "shards-disagree") == ()


def test_layout_is_compared_with_the_inventory() -> None:
    """A stranger, an absent node, other slots and another master are each found against the inventory."""
    assert (
        findings(seen_by_all(lambda lines: extra(lines, "master")), "unexpected-node")[0].subject
        == "192.168.171.104:6373"
    )

    def without(lines: Entries) -> None:
        del lines[R1]

    absent = seen_by_all(without)
    absent = replace(absent, nodes=tuple(node for node in absent.nodes if node.name != R1))
    (finding,) = findings(absent, "missing-node")
    assert (finding.subject, "CLUSTER MEET 192.168.171.101 6374" in finding.repair) == (R1, True)
    moved = seen_by_all(plant(M1, slots=(SlotRange(0, 5459),)), plant(M2, slots=(SlotRange(5460, 10922),)))
    assert [each.subject for each in findings(moved, "slots-differ")] == [M1, M2]
    rotated = seen_by_all(
        plant(R1, master_id=node_id(M3)), plant(R2, master_id=node_id(M1)), plant(R3, master_id=node_id(M2))
    )
    found = findings(rotated, "replica-of-other-master")
    assert [each.subject for each in found] == [R3, R1, R2]
    assert f"CLUSTER REPLICATE {node_id(M1)}" in found[0].repair


def test_survived_failover_is_a_warning_with_the_way_back() -> None:
    """Master and replica that changed places are a warning, whose repair is the failover back."""
    swapped = seen_by_all(
        plant(M1, role="replica", slots=(), master_id=node_id(R3), config_epoch=4),
        plant(R3, role="master", slots=(SlotRange(0, 5460),), master_id="", config_epoch=4),
    )
    (finding,) = findings(swapped, "role-differs")
    assert (finding.subject, finding.severity) == (M1, Severity.WARNING)
    assert finding.repair == "redis-cli -h 192.168.171.101 -p 6373 CLUSTER FAILOVER"
    assert not {"slots-differ", "replica-of-other-master", "missing-node"} & rules_in(swapped)


def test_cluster_state_and_silent_nodes_are_found() -> None:
    """A node that says fail, one that is loading and one that does not answer are each found."""
    evidence = seen_by_all()
    assert (
        findings(node_changed(evidence, M1, cluster_info={"cluster_state": "fail"}), "cluster-state-fail")[0].subject
        == M1
    )
    assert findings(node_changed(evidence, R1, info={"loading": "1"}), "node-loading")[0].severity == Severity.WARNING
    silent = dict.fromkeys(("cluster_nodes", "info", "config", "cluster_info", "cluster_slots", "second_info", "moved"))
    judgement = judge(node_changed(evidence, R1, unreachable="no answer within 3 s", **silent))
    assert judgement.of("node-unreachable")[0].subject == R1
    assert ("views-disagree", f"{R1}: CLUSTER NODES: no answer within 3 s") in judgement.not_collected
    assert "node-fail" not in dict(judgement.not_collected)
