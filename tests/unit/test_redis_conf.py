"""A node's configuration file says what the inventory says, in words that its server knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.inventory import Node
from provisioning.redis_conf import render_redis_conf
from tests.examples import examples

pytestmark = pytest.mark.unit

SEED = read_inventory(DEFAULT_INVENTORY)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


def directives(text: str) -> dict[str, str]:
    """Return the directives of a configuration file; none may be given twice."""
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    found = dict(line.split(" ", 1) for line in lines)
    assert len(found) == len(lines)
    return found


def unquoted(text: str) -> str:
    """Read a double-quoted word as redis-server does (sdssplitargs in sds.c)."""
    assert text.startswith('"')
    rest = iter(text[1:])
    word = ""
    for char in rest:
        if char == "\\":
            escaped = next(rest)
            assert escaped != "x"
            word += ESCAPES.get(escaped, escaped)
        elif char == '"':
            assert "".join(rest) == ""
            return word
        else:
            word += char
    raise AssertionError("the quotation does not end")


def conf(node: Node = SEED.nodes[0], version: str = "8.0.2") -> dict[str, str]:
    return directives(render_redis_conf(SEED, node, version))


def test_the_file_says_what_the_inventory_says() -> None:
    """Ports, addresses, timeout, AOF and directory; announced is what other nodes and clients must use."""
    found = conf(SEED.nodes[1])
    assert found["port"] == "6374"
    assert found["bind"] == "192.168.171.101 127.0.0.1"
    assert (found["cluster-announce-ip"], found["cluster-announce-port"]) == ("192.168.171.101", "6374")
    assert found["cluster-announce-bus-port"] == found["cluster-port"] == "16374"
    assert (found["cluster-enabled"], found["cluster-node-timeout"]) == ("yes", "5000")
    assert (found["appendonly"], found["dir"], found["protected-mode"]) == ("yes", "/data", "yes")
    assert "requirepass" not in found


def test_changes_of_the_inventory_reach_the_file() -> None:
    """Another timeout, no AOF, another bus port, several addresses, another directory."""
    node = replace(SEED.nodes[0], bus_port=7777, bound=("10.0.0.1", "10.0.1.1"))
    text = render_redis_conf(replace(SEED, node_timeout_ms=1234, appendonly=False), node, "8.0.2", "/somewhere")
    found = directives(text)
    assert (found["cluster-node-timeout"], found["appendonly"], found["dir"]) == ("1234", "no", "/somewhere")
    assert found["cluster-port"] == found["cluster-announce-bus-port"] == "7777"
    assert found["bind"] == "10.0.0.1 10.0.1.1 127.0.0.1"


@pytest.mark.parametrize(
    ("version", "knows"),
    [("6.0.16", False), ("6.2.7", False), ("7.0.0", True), ("7.0.15", True), ("8.0.2", True), ("10.0.0", True)],
)
def test_a_directive_is_given_only_to_servers_that_know_it(version: str, knows: bool) -> None:
    """cluster-port came with 7.0; an older server would not start with it."""
    assert ("cluster-port" in conf(version=version)) is knows


@examples(150)
@given(password=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_password_is_the_same_to_the_server(password: str) -> None:
    """Quotes, backslashes, hashes, blanks and line breaks: the server reads the password that clients send."""
    text = render_redis_conf(SEED, replace(SEED.nodes[0], password=password), "8.0.2")
    found = directives(text)
    assert unquoted(found["requirepass"]) == password
    assert unquoted(found["masterauth"]) == password


def test_settings_are_passed_through() -> None:
    """Settings follow as they are, after all else so that they win; an empty value is an empty word."""
    wanted = {"maxmemory": "100mb", "client-output-buffer-limit": "replica 256mb 64mb 60", "save": ""}
    text = render_redis_conf(replace(SEED, settings=wanted), SEED.nodes[0], "8.0.2")
    assert text.endswith('\nmaxmemory 100mb\nclient-output-buffer-limit replica 256mb 64mb 60\nsave ""\n')
