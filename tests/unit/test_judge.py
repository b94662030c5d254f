"""The verdict holds, is violated, or is unknown; unknown never passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.rules.catalogue import catalogue
from fixtures.rules.finding import Severity
from fixtures.rules.judge import judge
from fixtures.rules.registry import RULES, rule
from provisioning.evidence import Evidence
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
