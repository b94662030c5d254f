"""Rules as test parameters, and what one of them says of what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.judging import RuleTest
from fixtures.rules.catalogue import catalogue
from fixtures.rules.judge import Judgement, Verdict
from fixtures.rules.registry import Rule
from provisioning.errors import EvidenceMissing


def rules_of(promise: str) -> list[Any]:
    """Return the rules of that promise as parameters whose test ids are the rules' ids."""
    return [pytest.param(rule, id=rule.id) for rule in catalogue(promise)]


def hold_to(rule: Rule, judged: RuleTest) -> None:
    """Report what the rule says, and fail where the rule does not hold; skip, with the reason, where it does not apply.

    Raises EvidenceMissing where its evidence could not be collected: nothing is shown, neither way.
    """
    judgement = judged(rule)
    for _, why in judgement.not_applicable:
        pytest.skip(why)
    if judgement.verdict is Verdict.UNKNOWN:
        raise EvidenceMissing(
            f"{rule.id} could not be decided",
            expected="the evidence that the rule needs, from every node and host that has it",
            observed=told(judgement),
            advice="mend what is named above: a node or host that gives no answer, a user without the right to ask "
            "(NOPERM); --no-host-access looks at real hosts' nodes alone",
        )
    if judgement.verdict is Verdict.VIOLATED:
        pytest.fail(told(judgement), pytrace=False)


def told(judgement: Judgement) -> str:
    """Return everything that a judgement says against the cluster, a paragraph each."""
    findings = [f"{finding}\n  repair: {finding.repair}\n  {finding.evidence}" for finding in judgement.findings]
    unknown = [f"{rule_id}: not collected: {why}" for rule_id, why in judgement.not_collected]
    return "\n".join([*findings, *unknown])
