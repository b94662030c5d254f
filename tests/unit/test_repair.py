"""Repairs can be run as they stand: every value one word, every client logged in as the inventory says."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from fixtures.rules.repair import at, by_cluster, everywhere, on
from provisioning.evidence import Evidence
from provisioning.inventory import Tls
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, NAMES, R1, change, entries, findings, node_changed, pasted, seen_by_all

pytestmark = pytest.mark.unit

POINTS = "3600 1 300 100"
"""Save points: a value of several words."""


def logged_in(user: str, tls: Tls | None) -> Evidence:
    """Return the evidence of an inventory whose nodes are reached so."""
    evidence = seen_by_all()
    assert evidence.wanted is not None
    changed = {node.full_name: replace(node, user=user, tls=tls) for node in evidence.wanted.nodes}
    return replace(evidence, wanted=evidence.wanted.with_nodes(changed))


@pytest.mark.parametrize(
    ("tls", "options"),
    [
        (None, []),
        (Tls(), ["--tls"]),
        (Tls("ca file.crt"), ["--tls", "--cacert", "ca file.crt"]),
        (Tls("ca", "c", "k"), ["--tls", "--cacert", "ca", "--cert", "c", "--key", "k"]),
        (Tls("ca", "both"), ["--tls", "--cacert", "ca", "--cert", "both", "--key", "both"]),
    ],
)
def test_every_client_logs_in_as_the_inventory_says(tls: Tls | None, options: list[str]) -> None:
    """ACL user and TLS files stand in the commands for a node, for all of them, and for a stranger among them."""
    evidence, entry = logged_in("ada", tls), entries()[M1]
    stranger = replace(entry, node_id="f" * 40, ip="192.168.171.109")
    login = ["--user", "ada", *options]
    here = ["redis-cli", "-h", "192.168.171.101", "-p", "6373", *login, "PING"]
    assert shlex.split(on(evidence, entry, "PING")) == shlex.split(at(evidence, M1, "PING")) == here
    assert shlex.split(on(evidence, stranger, "PING"))[5:-1] == login
    together = ["redis-cli", *login, "--cluster", "call", "192.168.171.101:6373", "PING"]
    assert shlex.split(everywhere(evidence, entry, "PING")) == together
    assert shlex.split(at(evidence, M1, "PING", user="default"))[5:7] == ["--user", "default"]


def test_a_setting_of_several_words_is_one_argument() -> None:
    """Save points are handed over as one word, to the inventory's address and not to one that the node announces."""
    wrong = seen_by_all(lambda lines: change(lines, R1, ip="10.9.9.9"), only=(R1,))
    evidence = node_changed(wrong, R1, config={"save": ""})
    for name in set(NAMES) - {R1}:
        evidence = node_changed(evidence, name, config={"save": POINTS})
    (finding,) = findings(evidence, "config-differs")
    command = f"redis-cli -h 192.168.171.101 -p 6374 CONFIG SET save '{POINTS}'"
    assert shlex.split(finding.repair) == shlex.split(command)
    assert evidence.wanted is not None
    wanting = replace(evidence, wanted=replace(evidence.wanted, settings={"save": POINTS}))
    (finding,) = findings(wanting, "config-not-as-wanted")
    assert shlex.split(finding.repair)[-1] == POINTS


def test_a_directive_of_several_words_is_set_as_one() -> None:
    """What the file lacks and the server too is brought into force with the whole value."""
    evidence = seen_by_all()
    assert evidence.wanted is not None
    wanting = replace(evidence, wanted=replace(evidence.wanted, settings={"save": POINTS}))
    hosts = tuple(
        replace(host, directives={name: {**each, "save": ""} for name, each in (host.directives or {}).items()})
        for host in wanting.hosts
    )
    found = findings(replace(wanting, hosts=hosts), "config-file-differs")
    assert shlex.split(found[0].repair.splitlines()[-1])[-3:] == ["SET", "save", POINTS]


def test_an_address_of_a_listing_is_one_word() -> None:
    """What a listing says where an address belongs is quoted in commands for the whole cluster too."""
    uneven = pasted(
        lambda lines: change(lines, M1, ip="10.0.0.1;reboot", slots=(SlotRange(0, 9000),)),
        lambda lines: change(lines, M2, slots=(SlotRange(9001, 10922),)),
    )
    (finding,) = findings(uneven, "uneven-slots")
    assert finding.repair == "redis-cli --cluster rebalance '10.0.0.1;reboot:6373'"
    assert by_cluster(uneven, "reshard", entries()[M1], "--cluster-from $(reboot)").startswith("to be filled in: ")
