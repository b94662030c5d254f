"""Every host reaches every node on the others: rule by rule."""

from __future__ import annotations

import pytest

from fixtures.reporting import Recorder
from fixtures.rules import ports
from fixtures.rules.registry import Rule
from fixtures.target import Target
from provisioning.cluster import Cluster
from provisioning.evidence import Evidence
from tests.judged import hold_to, rules_of


@pytest.mark.parametrize("rule", rules_of(ports))
def test_no_finding(rule: Rule, target: Target, cluster: Cluster, full_evidence: Evidence, record: Recorder) -> None:
    """The rule finds nothing wrong with the cluster."""
    hold_to(rule, target, cluster, full_evidence, record)
