"""`pytest --explain`: every rule has a page that fits a terminal, and an id that is none is answered with near ones."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from fixtures.rules.catalogue import catalogue
from fixtures.rules.needs import Need
from fixtures.rules.page import EVIDENCE, WIDTH, explain, listing, page
from fixtures.rules.registry import Rule
from fixtures.rules.unknown_rule import MOST_NEAR, UnknownRule, near, unknown_rule

pytestmark = pytest.mark.unit

KNOWN = [rule.id for rule in catalogue()]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for rule in catalogue()])
def test_every_rule_has_a_page(rule: Rule) -> None:
    """It says all that the rule says of itself, in 80 columns."""
    text = explain(rule.id, catalogue())
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.splitlines()[0] == rule.id
    said = words(text)
    for matters in (rule.severity, rule.breaks, rule.explanation, rule.if_left, rule.repair, rule.source):
        assert words(str(matters)) in said
    for letter in rule.seen_in.split():
        assert EVIDENCE[letter] in said
    assert ("looked at again" in said) is rule.transient


def test_a_page_has_a_line_for_every_field() -> None:
    """Whatever is added to a rule has to be explained as well."""
    labels = {"id", "severity", "breaks", "seen_in", "needs", "explanation", "if_left", "repair", "source", "transient"}
    assert {field.name for field in fields(Rule)} == labels | {"find"}


def test_needs_are_named_as_what_is_asked() -> None:
    """As a command or a look, not as the field that it is kept in; every need has such a name."""
    (rule,) = (each for each in catalogue() if each.id == "host-loss-not-survivable")
    assert "one view; INFO; CONFIG GET" in page(rule)
    for need in Need:
        (line,) = (each for each in page(replace(rule, needs=(need,))).splitlines() if each.startswith("  needs "))
        assert "_" not in line


@pytest.mark.parametrize("asked", ["all", "list", " list "])
def test_all_rules_are_listed(asked: str) -> None:
    """Each with its severity and the first sentence of what it decides, in 80 columns."""
    text = explain(asked, catalogue())
    assert max(map(len, text.splitlines())) <= WIDTH
    lines = [line.split() for line in text.splitlines() if line and not line.startswith(" ")]
    assert [[str(rule.severity), rule.id] for rule in catalogue()] == lines[:-1]
    (collision,) = (each for each in catalogue() if each.id == "epoch-collision")
    first, rest = collision.explanation.split(". ", maxsplit=1)
    assert f"{first}." in words(listing([collision]))
    assert words(rest) not in words(listing([collision]))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("slot-uncoverd", "slots-uncovered"), ("Uneven", "uneven-slots"), ("bus port closed", "bus-port-closed")],
)
def test_an_id_that_is_none_is_answered_with_near_ones(asked: str, expected: str) -> None:
    """And with the way to see all of them."""
    with pytest.raises(UnknownRule) as refused:
        explain(asked, catalogue())
    assert expected in refused.value.advice
    assert "--explain list" in refused.value.advice
    assert asked in str(refused.value)


def test_near_ids_are_few_and_the_containing_ones_first() -> None:
    """Nothing is suggested for what is like nothing, and not everything for one letter."""
    assert near("zzzzzz", KNOWN) == near("", KNOWN) == []
    assert near("replica-same", KNOWN)[0] == "replica-same-host-as-master"
    assert len(near("s", KNOWN)) == MOST_NEAR
    assert "did you mean" not in unknown_rule("zzzzzz", KNOWN).advice
    assert str(unknown_rule("x", KNOWN, "entry 3: ")).startswith("entry 3: no rule is called 'x'")
