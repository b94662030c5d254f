"""What the rules are for: a defect planted on a live cluster is found under its name, and no more once repaired."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from fixtures.rules.judge import Judgement, Verdict, judge
from provisioning.cluster import REJOIN_SECONDS, Cluster
from provisioning.inventory import Node
from provisioning.resp import Refused
from provisioning.waiting import wait_until
from tests.judged import told
from tests.redirection.migration import migrating


def wait_findings(cluster: Cluster, *rules: str) -> Judgement:
    """Wait until every one of these rules finds something, and return what all rules say at that moment."""

    def planted() -> Judgement | None:
        judgement = judge(cluster.look())
        return judgement if all(judgement.of(rule) for rule in rules) else None

    return cluster.wait_for(planted, f"findings of {', '.join(rules)}", 2 * cluster.inventory.node_timeout)


def wait_no_finding(cluster: Cluster) -> None:
    """Wait until no rule finds anything, not even something to warn about."""
    judgement = judge(cluster.look())

    def whole() -> bool:
        nonlocal judgement
        judgement = judge(cluster.look())
        return not judgement.findings and judgement.verdict is Verdict.HOLDS

    budget = REJOIN_SECONDS + 2 * cluster.inventory.node_timeout
    wait_until(whole, "no finding of any rule", budget, shown=lambda: told(judgement))


@contextmanager
def replica_moved(cluster: Cluster, replica: Node, master: Node) -> Iterator[None]:
    """Let the replica follow another master while the block lasts."""
    ids = cluster.ids()
    try:
        assert cluster.call(replica, "CLUSTER", "REPLICATE", ids[master.full_name]) == "OK"
        yield
    finally:
        cluster.call(replica, "CLUSTER", "REPLICATE", ids[replica.replica_of])


@contextmanager
def slot_given_up(cluster: Cluster, slot: int, owner: Node) -> Iterator[None]:
    """Let nobody own the slot while the block lasts."""
    nodes = [owner, *(node for node in cluster.inventory.nodes if node != owner)]

    def given_up() -> bool:
        for node in nodes:  # the owner first; a packet that it sent just before may tell another node again
            with suppress(Refused):
                cluster.call(node, "CLUSTER", "DELSLOTS", slot)
        return all(view is not None and view.owner_of(slot) is None for view in cluster.views().values())

    try:
        cluster.wait_for(given_up, f"nobody owns slot {slot}", cluster.inventory.node_timeout)
        yield
    finally:
        cluster.call(owner, "CLUSTER", "ADDSLOTS", slot)


def test_a_healthy_cluster_has_no_finding(writable_cluster: Cluster) -> None:
    """Before anything is planted no rule finds anything that lasts, not even something to warn about."""
    wait_no_finding(writable_cluster)


def test_an_open_slot_is_found(writable_cluster: Cluster) -> None:
    """A slot left half way between two masters is found at its source and at its target, and nothing else is."""
    cluster = writable_cluster
    source, target = cluster.inventory.masters[:2]

    with migrating(cluster, source.slots[0].first, source, target):
        judgement = wait_findings(cluster, "open-slot-migrating", "open-slot-importing")

    assert judgement.verdict is Verdict.VIOLATED
    for rule, node in (("open-slot-migrating", source), ("open-slot-importing", target)):
        shown_by = {name for finding in judgement.of(rule) for name in finding.seen_by}
        replicas = {each.full_name for each in cluster.shard_of(node).replicas}  # Valkey's show it, too
        assert node.full_name in shown_by
        assert shown_by <= {node.full_name, *replicas}
    assert all(finding.rule.startswith("open-slot-") for finding in judgement.findings)
    wait_no_finding(cluster)


def test_a_replica_of_another_master_is_found(writable_cluster: Cluster) -> None:
    """A replica that follows another master than the inventory's is named, and so is the master that it left."""
    cluster = writable_cluster
    shard, other = cluster.inventory.shards[:2]
    replica = shard.replicas[0]

    with replica_moved(cluster, replica, other.master):
        judgement = wait_findings(cluster, "replica-of-other-master", "master-without-replica")

    assert judgement.verdict is Verdict.VIOLATED
    assert {finding.subject for finding in judgement.of("replica-of-other-master")} == {replica.full_name}
    assert {finding.subject for finding in judgement.of("master-without-replica")} == {shard.master.full_name}
    wait_no_finding(cluster)


def test_an_uncovered_slot_is_found(writable_cluster: Cluster) -> None:
    """A slot that nobody owns is named by every node, and the cluster, which must cover all, is down."""
    cluster = writable_cluster
    owner = cluster.inventory.masters[0]
    slot = owner.slots[0].first

    with slot_given_up(cluster, slot, owner):
        judgement = wait_findings(cluster, "slots-uncovered", "cluster-state-fail", "slots-differ")

    assert judgement.verdict is Verdict.VIOLATED
    (uncovered,) = judgement.of("slots-uncovered")
    assert set(uncovered.seen_by) == {node.full_name for node in cluster.inventory.nodes}
    assert uncovered.subject.split()[-1] == str(slot)
    wait_no_finding(cluster)
