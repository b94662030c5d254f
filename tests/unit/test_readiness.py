"""A cluster is ready when nothing is missing, and what is missing is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provisioning.evidence import Evidence
from provisioning.readiness import find_unready
from provisioning.slots import SlotRange
from tests.unit.listing import M1, M2, NAMES, R1, R2, Edit, change, node_changed, node_id, seen_by_all

pytestmark = pytest.mark.unit


def ready(*edits: Edit, only: tuple[str, ...] = NAMES) -> Evidence:
    """Return complete evidence of a ready cluster, the edits applied to the views of ``only``."""
    evidence = seen_by_all(*edits, only=only)
    for name in NAMES:
        evidence = node_changed(evidence, name, cluster_info={"cluster_slots_ok": "16384"})
        evidence = rows(evidence, name, "cluster_shards", online)
    return evidence


def online(shards: Any) -> Any:
    """Return CLUSTER SHARDS with every node's health, as Redis 7 and later have it."""
    return [[*shard[:3], [[*node, "health", "online"] for node in shard[3]]] for shard in shards]


def rows(evidence: Evidence, name: str, attribute: str, edit: Callable[[Any], Any]) -> Evidence:
    """Return the evidence with one node's CLUSTER SLOTS or CLUSTER SHARDS answer replaced."""
    node = next(each for each in evidence.nodes if each.name == name)
    return node_changed(evidence, name, **{attribute: edit(getattr(node, attribute))})


def with_shard_field(field: str, value: object) -> Callable[[Any], Any]:
    """Return an edit of CLUSTER SHARDS that sets one field of the last node of the first shard."""

    def edit(shards: Any) -> Any:
        first, *others = shards
        *nodes, last = first[3]
        return [[*first[:3], [*nodes, [*last, field, value]]], *others]

    return edit


def test_a_healthy_cluster_is_ready() -> None:
    """Nothing is missing from a healthy cluster."""
    assert find_unready(ready()) == []


PLANTED: dict[str, tuple[Callable[[], Evidence], str]] = {
    "a node is silent": (
        lambda: node_changed(ready(), R1, unreachable="no answer within the deadline"),
        f"{R1} does not answer: no answer within the deadline",
    ),
    "a node refuses": (
        lambda: node_changed(ready(), R1, not_collected={"cluster_nodes": "LOADING Redis is loading"}),
        f"{R1} refuses: LOADING Redis is loading",
    ),
    "the state is fail": (
        lambda: node_changed(ready(), M2, cluster_info={"cluster_state": "fail"}),
        f"{M2} says state fail, 16384 slots ok",
    ),
    "slots are not ok": (
        lambda: node_changed(ready(), M2, cluster_info={"cluster_slots_ok": "16000"}),
        f"{M2} says state ok, 16000 slots ok",
    ),
    "the state is not told": (lambda: node_changed(ready(), M2, cluster_info=None), f"{M2} says state None"),
    "there is no view": (lambda: node_changed(ready(), R2, cluster_nodes=None), f"{R2} has no view"),
    "a view lacks a node": (
        lambda: ready(lambda lines: lines.pop(R2), only=(M1,)),
        f"{M1} lacks ['192.168.171.102:6374']",
    ),
    "a view has another address": (
        lambda: ready(lambda lines: change(lines, R2, ip="172.17.0.1"), only=(M1,)),
        "['172.17.0.1:6374'] too many",
    ),
    "a node is in doubt": (
        lambda: ready(lambda lines: change(lines, R2, flag="pfail"), only=(M1,)),
        f"{M1} shows 192.168.171.102:6374 as pfail,replica",
    ),
    "a node is taken for dead": (lambda: ready(lambda lines: change(lines, R2, flag="fail"), only=(M1,)), "as fail"),
    "a handshake is under way": (
        lambda: ready(lambda lines: change(lines, R2, flag="handshake"), only=(M1,)),
        "handshake",
    ),
    "a link is down": (
        lambda: ready(lambda lines: change(lines, R2, link_state="disconnected"), only=(M1,)),
        "disconnected",
    ),
    "views disagree about slots": (
        lambda: ready(lambda lines: change(lines, M1, slots=(SlotRange(0, 5459),)), only=(M2,)),
        "",
    ),
    "views disagree about a master": (
        lambda: ready(lambda lines: change(lines, R2, master_id=node_id(M1)), only=(M2,)),
        "",
    ),
    "SLOTS leaves out a replica": (
        lambda: rows(ready(), M1, "cluster_slots", lambda slots: [slots[0][:3], *slots[1:]]),
        f"{M1}: CLUSTER SLOTS leaves out a replica with offset 0",
    ),
    "SLOTS lacks a range": (
        lambda: rows(ready(), M1, "cluster_slots", lambda slots: slots[1:]),
        f"{M1}: CLUSTER SLOTS gives other ranges than NODES",
    ),
    "SLOTS has another bound": (
        lambda: rows(ready(), M1, "cluster_slots", lambda slots: [[0, 5000, *slots[0][2:]], *slots[1:]]),
        f"{M1}: CLUSTER SLOTS gives other ranges than NODES",
    ),
    "SHARDS says loading": (
        lambda: rows(ready(), M1, "cluster_shards", with_shard_field("health", "loading")),
        f"{M1}: CLUSTER SHARDS says loading of",
    ),
    "SHARDS has two masters": (
        lambda: rows(ready(), M1, "cluster_shards", with_shard_field("role", "master")),
        f"{M1}: CLUSTER SHARDS differs from NODES",
    ),
    "SHARDS lacks a shard": (
        lambda: rows(ready(), M1, "cluster_shards", lambda shards: shards[1:]),
        f"{M1}: CLUSTER SHARDS has 2 shards, NODES 3",
    ),
    "SHARDS has a shard twice": (
        lambda: rows(ready(), M1, "cluster_shards", lambda shards: [*shards, shards[0]]),
        f"{M1}: CLUSTER SHARDS has 4 shards, NODES 3",
    ),
    "replication is down": (
        lambda: node_changed(ready(), R1, info={"master_link_status": "down"}),
        f"{R1}: the link to its master is down",
    ),
    "a replica is behind": (
        lambda: node_changed(ready(), R1, info={"slave_repl_offset": "900"}, second_info={"slave_repl_offset": "900"}),
        f"{R1}: offset 900, its master's 1000",
    ),
    "a replica never read": (
        lambda: node_changed(ready(), R1, info={"slave_repl_offset": "0"}, second_info={"slave_repl_offset": "none"}),
        f"{R1}: offset -1, its master's 1000",
    ),
}


@pytest.mark.parametrize("lack", PLANTED)
def test_what_is_missing_is_named(lack: str) -> None:
    """Each lack alone keeps the cluster from being ready, and the sentence says where and what."""
    plant, says = PLANTED[lack]
    reasons = find_unready(plant())
    assert reasons, lack
    assert any(says in reason for reason in reasons), reasons


def test_a_refused_command_that_an_old_server_lacks_is_no_lack() -> None:
    """Redis 6 has no CLUSTER SHARDS: an unknown command does not keep its cluster from being ready."""
    evidence = ready()
    for name in NAMES:
        evidence = node_changed(
            evidence, name, not_collected={"cluster_shards": "ERR Unknown subcommand"}, cluster_shards=None
        )
    assert find_unready(evidence) == []


def test_a_replica_ahead_of_its_master_is_no_lack() -> None:
    """The two are asked one after the other: the replica may have read more by then."""
    assert find_unready(node_changed(ready(), R1, info={"slave_repl_offset": "1014"})) == []


def test_a_replica_that_was_asked_first_and_has_caught_up_is_no_lack() -> None:
    """Under writes it is behind what its master says a moment later; asked again it has that, or still lacks it."""
    behind = node_changed(ready(), R1, info={"slave_repl_offset": "900"})
    assert find_unready(node_changed(behind, R1, second_info={"slave_repl_offset": "1000"})) == []
    (reason,) = find_unready(node_changed(behind, R1, second_info={"slave_repl_offset": "999"}))
    assert reason == f"{R1}: offset 999, its master's 1000"


def test_without_any_node_nothing_is_ready() -> None:
    """A look that saw nobody is not a look at a ready cluster."""
    assert find_unready(replace(ready(), nodes=())) != []


def test_a_node_that_nobody_asked_is_missing() -> None:
    """Every node of the inventory must have been seen."""
    evidence = ready()
    assert find_unready(replace(evidence, nodes=evidence.nodes[:-1])) != []
