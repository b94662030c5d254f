"""Repairs that depend on more than one view: each is the command that helps, or none where no command does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioning.evidence import Evidence
from provisioning.evidence.container import ContainerEvidence
from provisioning.slots import SlotRange, joined_ranges
from tests.unit.listing import M1, M2, M3, R1, R2, R3, Entries, change, findings, node_id, seen_by_all

pytestmark = pytest.mark.unit

NEW = "e" * 40


def alone(name: str, evidence: Evidence) -> Evidence:
    """Return the evidence with a node that knows only itself."""

    def only(lines: Entries) -> None:
        for other in [each for each in lines if each != name]:
            del lines[other]
        change(lines, name, slots=(), config_epoch=0, node_id=NEW)

    lonely = seen_by_all(only, only=[name]).node(name)
    assert lonely is not None
    return replace(evidence, nodes=tuple(lonely if node.name == name else node for node in evidence.nodes))


def gave(lines: Entries, giver: str, taker: str, *slots: SlotRange) -> None:
    """Let the taker own these slots beside its own, and the giver what is left of its one range above them."""
    (own,), last = lines[giver].slots, max(each.last for each in slots)
    change(lines, giver, slots=(SlotRange(last + 1, own.last),) if last < own.last else ())
    change(lines, taker, slots=(*slots, *lines[taker].slots))


def test_blank_node_is_introduced_and_asked_for_nothing_else() -> None:
    """What a node that knows only itself lacks is not taken for the cluster's lack."""
    evidence = alone(R1, seen_by_all())
    (finding,) = findings(evidence, "isolated-single-node")
    assert finding.repair.startswith("redis-cli -h 192.168.171.101 -p 6374 CLUSTER MEET 192.168.171.")
    assert findings(evidence, "slots-uncovered") == ()
    assert findings(evidence, "slots-differ") == ()


def test_slots_whose_owner_others_know_are_not_given_away() -> None:
    """A half that lacks the other half's slots meets their owner; redis-cli --cluster fix would give them away."""

    def first(lines: Entries) -> None:
        for name in (M2, R1, M3, R2):
            del lines[name]

    def second(lines: Entries) -> None:
        for name in (M1, R3):
            del lines[name]

    one, other = seen_by_all(first, only=[M1, R3]), seen_by_all(second, only=[M2, R1, M3, R2])
    nodes = [node for node in one.nodes if node.name in (M1, R3)]
    nodes += [node for node in other.nodes if node.name not in (M1, R3)]
    evidence = replace(one, nodes=tuple(nodes))
    repairs = {finding.repair for finding in findings(evidence, "slots-uncovered")}
    assert repairs == {
        "redis-cli -h 192.168.171.101 -p 6373 CLUSTER MEET 192.168.171.102 6373",
        "redis-cli -h 192.168.171.101 -p 6374 CLUSTER MEET 192.168.171.101 6373",
    }


@pytest.mark.parametrize(("lost", "last_octet"), [((100, 101), 1), ((5461, 5470), 1), ((0, 3), 1), ((16380, 16383), 3)])
def test_slots_that_nobody_wants_go_to_the_master_of_the_slots_beside(lost: tuple[int, int], last_octet: int) -> None:
    """Without an inventory no master is left out of account, and no command that asks a question is given."""

    def gave_up(lines: Entries) -> None:
        for name in (M1, M2, M3):
            kept = [slot for each in lines[name].slots for slot in each if not lost[0] <= slot <= lost[1]]
            change(lines, name, slots=joined_ranges(SlotRange(slot, slot) for slot in kept))

    evidence = seen_by_all(gave_up, inventory=False)
    repairs = {finding.repair for finding in findings(evidence, "slots-uncovered")}
    adoption = f"CLUSTER ADDSLOTSRANGE {lost[0]} {lost[1]}"
    assert repairs == {f"redis-cli -h 192.168.171.10{last_octet} -p 6373 {adoption}"}


def test_slots_go_back_by_reshard_where_it_takes_the_right_ones() -> None:
    """Low slots are moved back by one command that both sides name; slots that reshard would not take by none."""
    low = seen_by_all(lambda lines: gave(lines, M1, M2, SlotRange(0, 9)))
    which = f"--cluster-from {node_id(M2)} --cluster-to {node_id(M1)} --cluster-slots 10 --cluster-yes"
    repairs = {finding.repair for finding in findings(low, "slots-differ")}
    assert repairs == {f"redis-cli --cluster reshard 192.168.171.101:6373 {which}"}

    def high(lines: Entries) -> None:
        change(lines, M1, slots=(SlotRange(0, 5459),))
        change(lines, M2, slots=(SlotRange(5460, 10923),))
        change(lines, M3, slots=(SlotRange(10924, 16383),))

    for finding in findings(seen_by_all(high), "slots-differ"):
        by_command = finding.repair.startswith("redis-cli --cluster reshard")
        assert by_command == (finding.subject == M1)  # 5460 is the lowest that the second master has, 10923 the highest


def test_claims_of_two_that_cannot_reach_each_other_need_the_bus() -> None:
    """An overlap behind a closed bus port is repaired by opening it; with the bus free, by a new config epoch."""

    def both(lines: Entries) -> None:
        change(lines, R3, role="master", master_id="", slots=(SlotRange(0, 5460),), config_epoch=9)

    evidence = seen_by_all(both, only=[R3])
    (free,) = findings(evidence, "slot-overlap")[:1]
    assert free.repair == "redis-cli -h 192.168.171.103 -p 6374 CLUSTER BUMPEPOCH"
    closed = "192.168.171.101:16373"
    hosts = tuple(
        replace(
            host,
            reachable_ports={
                **(host.reachable_ports or {}),
                **({closed: False} if host.name != "redis-host-1" else {}),
            },
            listening=(closed,) if host.name == "redis-host-1" else host.listening,
        )
        for host in evidence.hosts
    )
    (cut,) = findings(replace(evidence, hosts=hosts), "slot-overlap")[:1]
    assert [line.split(" ", 1)[0] for line in cut.repair.splitlines()] == ["ssh", "ssh"]
    assert cut.repair.count("--dport 16373 -j ACCEPT") == 2


def with_container(evidence: Evidence, name: str, state: str, unreachable: str) -> Evidence:
    """Return the evidence with that node of the first host in a container in this state; empty: it answers."""
    hosts = tuple(
        replace(host, containers={**(host.containers or {}), name: ContainerEvidence("container-1", state)})
        if host.name == "redis-host-1"
        else host
        for host in evidence.hosts
    )
    nodes = tuple(replace(node, unreachable=unreachable) if node.name == name else node for node in evidence.nodes)
    return replace(evidence, hosts=hosts, nodes=nodes)


def test_silent_node_is_started_resumed_or_left_alone() -> None:
    """What brings a silent node back depends on its container; a node that answers is never touched."""
    evidence = seen_by_all()
    ways = {"exited": "docker start ", "paused": "docker unpause ", "running": "docker kill --signal CONT "}
    for state, way in ways.items():
        (finding,) = findings(with_container(evidence, R1, state, "no answer"), "node-unreachable")
        assert way in finding.repair, state
    assert findings(with_container(evidence, R1, "running", ""), "node-unreachable") == ()


def test_dead_master_is_started_before_its_shard_is_given_back() -> None:
    """Who has taken over gives back only to a master that lives; one that is dead is started first."""

    def failed_over(lines: Entries) -> None:
        change(lines, M1, flag="fail", slots=())
        change(lines, R3, role="master", slots=(SlotRange(0, 5460),), master_id="", config_epoch=7)

    taken_over = seen_by_all(failed_over)
    (dead,) = findings(with_container(taken_over, M1, "exited", "no answer"), "role-differs")
    (alive,) = findings(with_container(taken_over, M1, "running", ""), "role-differs")
    assert "docker start " in dead.repair
    assert "FAILOVER" not in dead.repair
    assert alive.repair == "redis-cli -h 192.168.171.101 -p 6373 CLUSTER FAILOVER"


def test_ghost_is_forgotten_by_each_who_has_it() -> None:
    """Every asked member forgets a ghost, itself left out; where some were not asked redis-cli tells them."""

    def ghost(lines: Entries) -> None:
        lines["ghost"] = replace(
            lines[M1], node_id=NEW, ip="192.168.171.109", flags=frozenset({"master", "fail"}), slots=()
        )

    (finding, *_) = findings(seen_by_all(ghost), "failed-master-without-slots")
    assert finding.repair.splitlines() == [
        f"redis-cli -h 192.168.171.10{host} -p {port} CLUSTER FORGET {NEW}"
        for host in (1, 2, 3)
        for port in (6373, 6374)
    ]
    some = seen_by_all(ghost)
    some = replace(some, nodes=some.nodes[:2])
    (finding, *_) = findings(some, "failed-master-without-slots")
    assert finding.repair == f"redis-cli --cluster call 192.168.171.101:6373 CLUSTER FORGET {NEW}"
