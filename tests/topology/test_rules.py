"""All nodes agree on one complete cluster, replicated and configured as wanted: rule by rule."""

from __future__ import annotations

import pytest

from fixtures.judging import RuleTest
from fixtures.rules.registry import Rule
from tests.judged import hold_to, rules_of


@pytest.mark.parametrize("rule", rules_of("topology"))
def test_no_finding(rule: Rule, judged: RuleTest) -> None:
    """The rule finds nothing wrong with the target."""
    hold_to(rule, judged)
