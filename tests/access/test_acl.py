"""What an ACL user may send is read from ACL LIST as the server itself decides it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.cluster import Cluster
from provisioning.evidence.acl import parse_acl
from provisioning.resp import Connection, Refused
from tests.examples import examples

pytestmark = pytest.mark.destructive

USER = "redis-gauntlet-random"

RULES = [
    *("+@all", "-@all", "allcommands", "nocommands", "+@dangerous", "-@dangerous", "+@admin", "-@admin", "+@slow"),
    *("+@write", "-@write", "+@keyspace", "-@keyspace", "+@read", "+@fast", "+get", "-get", "~*", "~a", "&*"),
    *("+config", "-config", "+config|get", "+config|set", "-config|get", "+config|help", "+config|rewrite"),
    *("+debug", "-debug", "+debug|digest", "+flushall", "-flushall", "+flushall|async", "+shutdown", "-shutdown"),
    *("+shutdown|nosave",),
]

SENT = {
    "FLUSHALL": ("FLUSHALL",),
    "FLUSHALL ASYNC": ("FLUSHALL", "ASYNC"),
    "CONFIG GET": ("CONFIG", "GET", "maxmemory"),
    "CONFIG SET": ("CONFIG", "SET", "maxmemory", "0"),
    "CONFIG REWRITE": ("CONFIG", "REWRITE"),
    "DEBUG": ("DEBUG", "SLEEP", "0"),
    "DEBUG DIGEST": ("DEBUG", "DIGEST"),
    "SHUTDOWN": ("SHUTDOWN",),
    "SHUTDOWN NOSAVE": ("SHUTDOWN", "NOSAVE"),
}
"""What stands in AclUser.may -> the command that it is about. Nothing of it is carried out: DRYRUN only decides."""


def acceptable(rules: list[str]) -> list[str]:
    """Return the rules without what a server refuses: a pattern of keys beside all keys."""
    return [each for each in rules if each != "~a" or "~*" not in rules]


SOME = st.lists(st.sampled_from(RULES), max_size=6).map(acceptable)


@pytest.fixture
def link(writable_cluster: Cluster) -> Iterator[Connection]:
    """A connection to a node on which a user of the test's comes and goes."""
    with writable_cluster.connection(writable_cluster.inventory.nodes[0]) as connection:
        try:
            connection.call("ACL", "DRYRUN", "default", "PING")
        except Refused:
            pytest.skip("the server has no ACL DRYRUN: it is older than 7.0")
        yield connection
        with suppress(Refused):
            connection.call("ACL", "DELUSER", USER)


@examples(150, sharing_fixtures=True)
@given(own=SOME, selectors=st.lists(SOME.filter(bool), max_size=2))
def test_the_server_says_the_same(link: Connection, own: list[str], selectors: list[list[str]]) -> None:
    """For random users with selectors each of the dangerous commands is allowed exactly where ACL DRYRUN says so."""
    made = ("ACL", "SETUSER", USER, "reset", *own, *(f"({' '.join(each)})" for each in selectors))
    _, lines, *decided = link.calls(
        [made, ("ACL", "LIST"), *(("ACL", "DRYRUN", USER, *words) for words in SENT.values())]
    )
    user = parse_acl(lines)[USER]

    read = {name: bool(user.may & {name, name.split()[0]}) for name in SENT}
    assert read == {name: answer == "OK" for name, answer in zip(SENT, decided, strict=True)}, lines
