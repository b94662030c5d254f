"""A healthy 3x2 cluster as evidence, to plant defects in: the seed's layout, made up here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from fixtures.rules.finding import Finding
from fixtures.rules.judge import judge
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence import Evidence, HostEvidence, NodeEvidence
from provisioning.inventory import Host, Inventory, Node
from provisioning.node_entry import NodeEntry
from provisioning.slots import SlotRange

RANGES = (SlotRange(0, 5460), SlotRange(5461, 10922), SlotRange(10923, 16383))
FOLLOWED = {1: 2, 2: 3, 3: 1}
"""The replica on host 1 follows the master on host 2, and so on."""

Entries = dict[str, NodeEntry]
Edit = Callable[[Entries], object]

M1, M2, M3 = (f"redis-host-{n}/redis_master" for n in (1, 2, 3))
R1, R2, R3 = (f"redis-host-{n}/redis_slave" for n in (1, 2, 3))
NAMES = (M1, R1, M2, R2, M3, R3)


def node_id(name: str) -> str:
    """Return the made-up id of a node: 40 digits that show which it is."""
    return f"{NAMES.index(name) + 1:x}" * 40


def wanted(**changes: Any) -> Inventory:
    """Return the inventory of the three hosts."""
    hosts = []
    for n, slots in enumerate(RANGES, 1):
        ip = f"192.168.171.10{n}"
        place: dict[str, Any] = {"bound": (ip,), "announced": ip, "lan": ip}
        host = f"redis-host-{n}"
        master = Node(
            host, "redis_master", "master", 6373, 16373, **place, slots=(slots,), password="secret-of-the-test"
        )
        follows = f"redis-host-{FOLLOWED[n]}/redis_master"
        replica = Node(
            host, "redis_slave", "replica", 6374, 16374, **place, replica_of=follows, password="secret-of-the-test"
        )
        hosts.append(Host(host, ip, (master, replica)))
    return replace(Inventory("seed", tuple(hosts), 5000), **changes)


def entries(viewer: str = M1) -> Entries:
    """Return the lines of a healthy view by full name."""
    lines: Entries = {}
    for n, slots in enumerate(RANGES, 1):
        followed = FOLLOWED[n]
        ip = f"192.168.171.10{n}"
        master, replica = f"redis-host-{n}/redis_master", f"redis-host-{n}/redis_slave"
        lines[master] = NodeEntry(
            node_id(master), ip, 6373, 16373, "", {}, frozenset({"master"}), config_epoch=n, slots=(slots,)
        )
        lines[replica] = NodeEntry(
            node_id(replica),
            ip,
            6374,
            16374,
            flags=frozenset({"replica"}),
            master_id=node_id(f"redis-host-{followed}/redis_master"),
            config_epoch=followed,
        )
    for name, entry in lines.items():
        lines[name] = replace(
            entry, pong_received=1700000000000, flags=entry.flags | ({"myself"} if name == viewer else set())
        )
    return lines


def change(lines: Entries, name: str, **changes: Any) -> NodeEntry:
    """Replace fields of one line and return it; ``flag`` adds a flag, ``role`` replaces it."""
    entry = lines[name]
    flags = set(entry.flags)
    if "flag" in changes:
        flags.add(changes.pop("flag"))
    if "role" in changes:
        flags = flags - {"master", "replica"} | {changes.pop("role")}
    lines[name] = replace(entry, flags=frozenset(flags), **changes)
    return lines[name]


def pasted(*edits: Edit) -> Evidence:
    """Return the view of the first master as somebody would paste it, each edit applied."""
    lines = entries()
    for edit in edits:
        edit(lines)
    return Evidence.of_listings([("", format_cluster_nodes(lines.values()))])


def seen_by_all(*edits: Edit, only: Iterable[str] = NAMES, inventory: bool = True) -> Evidence:
    """Return complete evidence of all six nodes; the edits apply to the views of ``only``."""
    nodes = []
    for name in NAMES:
        lines = entries(name)
        for edit in edits if name in only else ():
            edit(lines)
        nodes.append(_node(name, lines))
    ports = {f"192.168.171.10{n}:{port}": True for n in (1, 2, 3) for port in (6373, 6374, 16373, 16374)}
    hosts = tuple(HostEvidence(f"redis-host-{n}", reachable_ports=ports) for n in (1, 2, 3))
    return Evidence(tuple(nodes), hosts, wanted() if inventory else None, "2024-01-01T00:00:00+00:00", 0.5)


def node_changed(evidence: Evidence, name: str, **changes: Any) -> Evidence:
    """Return the evidence with fields of one node replaced; mappings are merged into what is there."""
    nodes = []
    for node in evidence.nodes:
        if node.name == name:
            merged: dict[str, Any] = {
                key: {**(getattr(node, key) or {}), **value} if isinstance(value, dict) else value
                for key, value in changes.items()
            }
            node = replace(node, **merged)
        nodes.append(node)
    return replace(evidence, nodes=tuple(nodes))


def findings(evidence: Evidence, rule: str) -> tuple[Finding, ...]:
    """Return what one rule finds."""
    return judge(evidence).of(rule)


def rules_in(evidence: Evidence) -> set[str]:
    """Return the ids of all rules that find something."""
    return {finding.rule for finding in judge(evidence).findings}


def _node(name: str, lines: Entries) -> NodeEvidence:
    own = entries(name)[name]
    healthy = entries()
    master = own if own.is_master else next(each for each in healthy.values() if each.node_id == own.master_id)
    if own.is_master:
        follower = next(each for each in healthy.values() if each.master_id == own.node_id)
        link = f"ip={follower.ip},port={follower.port},state=online,offset=1000,lag=0"
        info = {"role": "master", "connected_slaves": "1", "slave0": link, "master_repl_offset": "1000"}
        config_role = {}
    else:
        info = {
            "role": "slave",
            "master_host": master.ip,
            "master_port": str(master.port),
            "master_link_status": "up",
            "master_last_io_seconds_ago": "1",
            "master_sync_in_progress": "0",
            "slave_repl_offset": "1000",
        }
        config_role = {"replica-read-only": "yes"}
    shards = [each for each in healthy.values() if each.is_master]
    return NodeEvidence(
        name,
        own.address,
        name.partition("/")[0],
        cluster_nodes=format_cluster_nodes(lines.values()),
        cluster_slots=[
            [
                shard.slots[0].first,
                shard.slots[0].last,
                *([each.ip, each.port, each.node_id, []] for each in _of(healthy, shard)),
            ]
            for shard in shards
        ],
        cluster_shards=[
            [
                "slots",
                [shard.slots[0].first, shard.slots[0].last],
                "nodes",
                [["id", each.node_id, "role", each.role, "replication-offset", 1000] for each in _of(healthy, shard)],
            ]
            for shard in shards
        ],
        info={"redis_version": "8.0.2", "loading": "0", **info},
        second_info=info,
        cluster_info={"cluster_state": "ok"},
        config={
            "cluster-node-timeout": "5000",
            "cluster-replica-validity-factor": "10",
            "appendonly": "yes",
            "maxmemory": "0",
            **config_role,
        },
        moved={
            shard.slots[0].first: f"MOVED {shard.slots[0].first} {shard.address}" for shard in shards if shard != own
        },
        time=1700000000.0,
        asked_at=1700000000.0,
    )


def _of(lines: Entries, master: NodeEntry) -> list[NodeEntry]:
    return [master, *(each for each in lines.values() if each.master_id == master.node_id)]
