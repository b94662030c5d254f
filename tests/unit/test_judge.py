"""The verdict holds, is violated, or is unknown; unknown never passes."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from fixtures.rules.catalogue import catalogue
from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from fixtures.rules.needs import ON_HOSTS, Need
from fixtures.rules.registry import RULES, Rule, rule
from provisioning.evidence import Evidence, HostEvidence, NodeEvidence
from tests.unit.listing import M1, R1, change, node_changed, pasted, seen_by_all

pytestmark = pytest.mark.unit


def test_warnings_violate_only_on_request() -> None:
    """A warning leaves the verdict holding, unless warnings are to fail."""
    evidence = pasted(lambda lines: change(lines, R1, flag="nofailover"))
    assert judge(evidence).verdict == "holds"
    assert judge(evidence, fail_on=Severity.WARNING).verdict == "violated"


def test_uncollected_evidence_is_unknown_unless_something_is_wrong() -> None:
    """Evidence that could not be collected makes a good verdict unknown, and a bad one no better."""
    evidence = node_changed(seen_by_all(), M1, config=None, not_collected={"config": "NOPERM"})
    judgement = judge(evidence)
    assert judgement.verdict == "unknown"
    assert ("config-differs", f"{M1}: CONFIG GET: NOPERM") in judgement.not_collected
    assert judge(node_changed(evidence, R1, cluster_info={"cluster_state": "fail"})).verdict == "violated"


def test_no_evidence_is_unknown() -> None:
    """Evidence of nothing, and a judge without rules, pass nothing."""
    assert judge(Evidence(())).verdict == "unknown"
    assert judge(pasted(), rules=()).verdict == "unknown"


def test_empty_listing_does_not_hold() -> None:
    """An empty CLUSTER NODES is a cluster without slots."""
    assert judge(Evidence.of_listings([("", "")])).verdict == "violated"


def test_errors_come_first() -> None:
    """Findings are ordered by severity."""
    evidence = pasted(lambda lines: change(lines, R1, flag="nofailover"), lambda lines: change(lines, R1, flag="fail"))
    ranks = [(finding.severity or Severity.ERROR).rank for finding in judge(evidence).findings]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) > 1


def test_muted_rule_finds_nothing() -> None:
    """A rule whose function returns nothing leaves its defect unseen: the findings come from the rules alone."""
    evidence = pasted(lambda lines: change(lines, R1, link_state="disconnected"))
    muted = [replace(each, find=lambda _: ()) if each.id == "link-disconnected" else each for each in catalogue()]
    assert judge(evidence, muted).findings == ()


NOT_BY_NODES = {each.id for each in catalogue() if set(each.needs) <= {*ON_HOSTS, Need.INVENTORY}}
"""Rules that the hosts alone decide, and that hold although no node answers: a paused node's port is open."""


@pytest.mark.parametrize("each", catalogue(), ids=lambda each: each.id)
def test_no_rule_holds_where_no_node_answers(each: Rule) -> None:
    """With every node dead each rule alone is violated or unknown, whatever else is known: none passes on nothing."""
    seen = seen_by_all()
    dead = tuple(NodeEvidence(node.name, node.address, node.host, unreachable="no answer") for node in seen.nodes)
    unseen = dict.fromkeys((need.value for need in ON_HOSTS), "no answer")
    silent = tuple(HostEvidence(host.name, not_collected=unseen) for host in seen.hosts)
    known: list[dict[str, Any]] = [{"hosts": silent}, {"hosts": ()}, {"hosts": (), "wanted": None}]
    for others in known if each.id in NOT_BY_NODES else [{}, *known]:
        judgement = judge(replace(seen, nodes=dead, **others), [each], fail_on=Severity.WARNING)
        assert judgement.verdict != "holds"
        assert judgement.not_collected or judgement.findings


@pytest.mark.parametrize(
    "each",
    [each for each in catalogue() if each.id not in {*NOT_BY_NODES, "node-unreachable"}],
    ids=lambda each: each.id,
)
def test_no_rule_holds_where_every_question_is_refused(each: Rule) -> None:
    """A login without rights shows that the nodes answer, and nothing else."""
    seen = seen_by_all()
    why = {field.name: "NOPERM" for field in fields(NodeEvidence) if getattr(seen.nodes[0], field.name) is not None}
    refusing = tuple(NodeEvidence(node.name, node.address, node.host, not_collected=why) for node in seen.nodes)
    assert judge(replace(seen, nodes=refusing), [each], fail_on=Severity.WARNING).verdict != "holds"


@pytest.mark.parametrize("each", catalogue(), ids=lambda each: each.id)
def test_every_rule_is_documented(each: object) -> None:
    """Each rule has a page: what it decides, what happens if left, what repairs it, and its source."""
    page = RULES[getattr(each, "id", "")]
    assert all((page.explanation, page.if_left, page.repair, page.source, page.seen_in, page.needs))
    assert page.find.__name__.removeprefix("find_").replace("_", "-") == page.id


def test_rule_ids_are_unique() -> None:
    """A second rule of the same id is refused."""
    taken = next(iter(RULES.values()))
    with pytest.raises(ValueError, match="two rules"):
        rule(taken.id, seen_in="V", breaks=taken.breaks, explanation="x", if_left="x", repair="x", source="x")(
            lambda evidence: ()
        )
