"""Replicas are where they help and no host is fatal: rule by rule."""

from __future__ import annotations

import pytest

from fixtures.judging import RuleTest
from fixtures.rules.registry import Rule
from tests.judged import hold_to, rules_of


@pytest.mark.parametrize("rule", rules_of("placement"))
def test_no_finding(rule: Rule, judged: RuleTest) -> None:
    """The rule finds nothing wrong with the target."""
    hold_to(rule, judged)
