"""Rules as test parameters, and what one of them says of a cluster once it had time to settle."""

from __future__ import annotations

from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest

from fixtures.reporting import Recorder
from fixtures.rules.catalogue import catalogue
from fixtures.rules.finding import Severity
from fixtures.rules.judge import Judgement, Verdict, judge
from fixtures.rules.registry import Rule
from fixtures.target import Target
from provisioning.cluster import Cluster
from provisioning.errors import EvidenceMissing, WaitTimeout
from provisioning.evidence import Evidence
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.waiting import wait_until


def rules_of(*families: ModuleType) -> list[Any]:
    """Return the rules of these families as parameters whose test ids are the rules' ids."""
    names = {family.__name__ for family in families}
    return [pytest.param(rule, id=rule.id) for rule in catalogue() if rule.find.__module__ in names]


def hold_to(rule: Rule, target: Target, cluster: Cluster, evidence: Evidence, record: Recorder) -> None:
    """Report what the rule says, and fail where the rule does not hold; skip, with the reason, where it does not apply.

    Raises EvidenceMissing where its evidence could not be collected: nothing is shown, neither way.
    What may pass by itself is looked at again for two node timeouts before it counts. A cluster that
    was built for this run must not even be warned about.
    """
    strictness = Severity.ERROR if target.running is not None else Severity.WARNING
    judgement = judge(evidence, [rule], fail_on=strictness)

    def holds_now() -> bool:
        nonlocal judgement
        seen = look_everywhere(cluster.inventory, cluster.simulation)
        judgement = judge(seen, [rule], fail_on=strictness)
        return judgement.verdict is Verdict.HOLDS

    if rule.transient and judgement.findings:
        with suppress(WaitTimeout):
            wait_until(holds_now, f"{rule.id} finds nothing", 2 * cluster.inventory.node_timeout)
    record("judged", reported(judgement))
    for _, why in judgement.not_applicable:
        pytest.skip(why)
    if judgement.verdict is Verdict.UNKNOWN:
        raise EvidenceMissing(
            f"{rule.id} could not be decided",
            expected="the evidence that the rule needs, from every node",
            observed=told(judgement),
            advice="see node-unreachable; a user without the right to ask (NOPERM) is named above",
        )
    assert judgement.verdict is Verdict.HOLDS, told(judgement)


def reported(judgement: Judgement) -> dict[str, Any]:
    """Return the judgement as the report takes it."""
    return {
        "findings": [dict(finding.to_dict()) for finding in judgement.findings],
        "not_applicable": [{"rule": rule, "why": why} for rule, why in judgement.not_applicable],
        "not_collected": [
            {"rule": rule, "why": why}
            for rule, why in judgement.not_collected
            if not judgement.not_applicable  # one rule that does not apply is no lack of evidence
        ],
    }


def told(judgement: Judgement) -> str:
    """Return everything that a judgement says against the cluster, a paragraph each."""
    findings = [f"{finding}\n  repair: {finding.repair}\n  {finding.evidence}" for finding in judgement.findings]
    unknown = [f"{rule_id}: not collected: {why}" for rule_id, why in judgement.not_collected]
    return "\n".join([*findings, *unknown])
