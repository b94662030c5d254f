"""ACL LIST is read as Redis means it: who needs a password, and who may send the dangerous commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.evidence.acl import CATEGORIES, parse_acl
from tests.examples import examples

pytestmark = pytest.mark.unit

CONFIG = {"CONFIG GET", "CONFIG SET", "CONFIG REWRITE"}
ALL = {"FLUSHALL", "DEBUG", "SHUTDOWN"} | CONFIG

TOKENS = [
    *("+@all", "-@all", "+@dangerous", "-@dangerous", "+@admin", "-@write", "+@keyspace", "+@read", "-@slow", "+get"),
    *("+config", "-config", "+config|get", "-config|set", "+debug|digest", "-debug", "+flushall", "-shutdown"),
]


def may(rules: str) -> set[str]:
    """Return what a user with these rules may send of the dangerous commands."""
    return set(parse_acl([f"user one on # {rules}"])["one"].may)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ("~* &* +@all", ALL),
        ("sanitize-payload ~* resetchannels +@all -@dangerous", set()),
        ("~* +@all -@admin", {"FLUSHALL"}),
        ("~* -@all +@read +@write", {"FLUSHALL"}),
        ("~* -@all +@read", set()),
        ("-@all", set()),
        ("", set()),
        ("~* allcommands", ALL),
        ("+@all nocommands", set()),
        ("+@all -config", ALL - CONFIG),
        ("+@all -config +config|get", ALL - CONFIG | {"CONFIG GET"}),
        ("-@all +config -config|set", CONFIG - {"CONFIG SET"}),
        ("-@all +config|resetstat +config|help", set()),
        ("-@all +@slow -@dangerous", set()),
        ("+@all -@dangerous +debug|digest", {"DEBUG DIGEST"}),
        ("-@all +debug|digest -debug", set()),
        ("-@all +debug|digest +debug", {"DEBUG"}),
        ("-@all +@admin +debug|digest -@admin", set()),
        ("+flushall|async -shutdown", {"FLUSHALL ASYNC"}),
        ("+FLUSHALL +Config|Get", {"FLUSHALL", "CONFIG GET"}),
        (
            "~x -@all +get (~a resetchannels -@all +config|set) (%R~b resetchannels +@all -@admin)",
            {"CONFIG SET", "FLUSHALL"},
        ),
        ("-@all (+debug)", {"DEBUG"}),
        ("(~(x) +get) +shutdown", {"SHUTDOWN"}),
    ],
)
def test_commands_are_those_that_redis_allows(rules: str, allowed: set[str]) -> None:
    """Rules count from left to right, and a selector allows for itself."""
    assert may(rules) == allowed


@pytest.mark.parametrize(
    ("line", "enabled", "nopass", "opens"),
    [
        ("user default on nopass sanitize-payload ~* &* +@all", True, True, True),
        ("user default off nopass ~* +@all", False, True, False),
        ("user default on # ~* +@all", True, False, False),
        ("user default off resetchannels -@all", False, False, False),
    ],
)
def test_who_needs_a_password(line: str, enabled: bool, nopass: bool, opens: bool) -> None:
    """Only a user that is on and has nopass lets a caller in without a password."""
    user = parse_acl([line])["default"]
    assert (user.enabled, user.nopass, user.open) == (enabled, nopass, opens)


def test_passwords_and_users_are_kept_apart() -> None:
    """Every user of the list has its own line; of a password there is what the mask left."""
    users = parse_acl(["user default off # ~* +@all", "user app on #1a2b #3c4d ~app:* +@read", "", "no user"])
    assert sorted(users) == ["app", "default"]
    assert users["app"].passwords == ("#1a2b", "#3c4d")


@pytest.mark.parametrize(
    ("rules", "any_"), [("-@all", False), ("-@all +ping", True), ("+@all -@all", False), ("", False)]
)
def test_whether_anything_is_allowed(rules: str, any_: bool) -> None:
    """A user without rules, or from whom all was taken, may send nothing."""
    assert parse_acl([f"user one on nopass {rules}"])["one"].allows_any is any_


@examples()
@given(st.lists(st.sampled_from(TOKENS), max_size=8), st.lists(st.sampled_from(TOKENS), max_size=4))
def test_what_is_taken_from_all_is_gone(before: list[str], after: list[str]) -> None:
    """Whatever stood before: after -@all or +@all only what follows counts."""
    assert may(" ".join([*before, "-@all", *after])) == may(" ".join(["-@all", *after]))
    assert may(" ".join([*before, "+@all", *after])) == may(" ".join(["+@all", *after]))


@examples()
@given(st.lists(st.sampled_from(TOKENS), max_size=6), st.lists(st.sampled_from(TOKENS), max_size=6))
def test_a_selector_only_adds(own: list[str], selector: list[str]) -> None:
    """A user may send what its own rules allow and what a selector allows, and nothing else."""
    both = may(f"{' '.join(own)} ({' '.join(selector)})")
    assert both == may(" ".join(own)) | may(" ".join(selector))


def test_dangerous_is_dangerous() -> None:
    """Every command that is judged is in the category of that name: `-@dangerous` takes all of them."""
    assert all("dangerous" in categories for categories in CATEGORIES.values())
    assert may("+@all -@dangerous") == set()
