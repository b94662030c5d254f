"""Every host is as a Redis host should be, reaches the others, and lets nobody in who is not known: rule by rule."""

from __future__ import annotations

import pytest

from fixtures.judging import RuleTest
from fixtures.rules.registry import Rule
from tests.judged import hold_to, rules_of


@pytest.mark.parametrize("rule", rules_of("hosts"))
def test_no_finding(rule: Rule, judged: RuleTest) -> None:
    """The rule finds nothing wrong with the target."""
    hold_to(rule, judged)
