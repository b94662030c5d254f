"""A healthy 3x2 cluster as evidence, to plant defects in: the seed's layout, made up here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from fixtures.rules.finding import Finding
from fixtures.rules.judge import judge
from fixtures.rules.registry import RULES
from provisioning.cluster_nodes import format_cluster_nodes
from provisioning.evidence import Evidence, HostEvidence, NodeEvidence
from provisioning.evidence.collect import DANGEROUS, WITHOUT_LOGIN
from provisioning.evidence.container import ContainerEvidence
from provisioning.evidence.host_script import AS_WANTED
from provisioning.evidence.probe_result import ProbeResult
from provisioning.inventory import CONFIG_DIR, Host, Inventory, Node
from provisioning.node_entry import NodeEntry
from provisioning.redis_conf import render_redis_conf
from provisioning.slots import SlotRange

RANGES = (SlotRange(0, 5460), SlotRange(5461, 10922), SlotRange(10923, 16383))
FOLLOWED = {1: 2, 2: 3, 3: 1}
"""The replica on host 1 follows the master on host 2, and so on."""

KEYS = 600
SLOTS_WITH_KEYS = 570
"""What every master has, and in how many of its slots."""

_SERVER = {
    "redis_version": "8.0.2",
    "loading": "0",
    "uptime_in_seconds": "86400",
    "total_commands_processed": "100000",
    "db0": f"keys={KEYS},expires=0,avg_ttl=0,subexpiry=0",
    "used_memory": "2321224",
    "mem_not_counted_for_evict": "224",
    "total_system_memory": "8589934592",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "instantaneous_input_kbps": "0.07",
    "repl_backlog_active": "1",
    "repl_backlog_size": "1048576",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "aof_last_bgrewrite_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "rdb_last_load_keys_loaded": "0",
    "cmdstat_set": "calls=600,usec=1,usec_per_call=1.00,rejected_calls=0,failed_calls=0",
}
_CONFIG = {
    "cluster-node-timeout": "5000",
    "cluster-replica-validity-factor": "10",
    "cluster-replica-no-failover": "no",
    "repl-ping-replica-period": "10",
    "requirepass": "masked:1a2b3c4d",
    "masterauth": "masked:1a2b3c4d",
    "protected-mode": "yes",
    "maxclients": "10000",
    "appendonly": "yes",
    "save": "3600 1 300 100 60 10000",
    "stop-writes-on-bgsave-error": "yes",
    "dir": "/data",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "min-replicas-to-write": "0",
    "repl-backlog-size": "1048576",
}

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
    hosts = tuple(_host(f"redis-host-{n}", ports) for n in (1, 2, 3))
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
    return judge(evidence, [RULES[rule]]).of(rule)


def rules_in(evidence: Evidence) -> set[str]:
    """Return the ids of all rules that find something."""
    return {finding.rule for finding in judge(evidence).findings}


def _host(name: str, ports: dict[str, bool]) -> HostEvidence:
    """Return a real host with an engine and a kernel of its own, everything on it as the inventory has it."""
    inventory = wanted()
    nodes = inventory.host(name).nodes
    return HostEvidence(
        name,
        reachable_ports=ports,
        containers={
            node.full_name: ContainerEvidence(
                node.container or node.name,
                "running",
                "redis:8.0.2",
                "sha256:20d0ff6e61a0",
                restart="unless-stopped",
                mounts=(("/data", f"{node.name}-data"), (CONFIG_DIR, f"bind:{CONFIG_DIR}")),
            )
            for node in nodes
        },
        engine={"running": "yes", "version": "28.3.3", "enabled": "yes"},
        directives={node.full_name: _directives(render_redis_conf(inventory, node, "8.0.2"), node) for node in nodes},
        kernel={"overcommit_memory": "1", "transparent_hugepage": "madvise"},
        open_files={node.full_name: 10032 for node in nodes},
    )


def _directives(text: str, node: Node) -> dict[str, str]:
    """Return a rendered configuration file as a host's evidence has it."""
    lines = [line.partition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    found = {name: value.strip().strip('"') for name, _, value in lines}
    return {name: AS_WANTED if value == node.password else value for name, value in found.items()}


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
        info={**_SERVER, "run_id": node_id(name), **info},
        second_info=info,
        cluster_info={"cluster_state": "ok"},
        config={**_CONFIG, **config_role},
        acl=("user default on sanitize-payload # ~* &* +@all",),
        commands=dict.fromkeys(DANGEROUS, True),
        anonymous={" ".join(words[:2]): "NOAUTH Authentication required." for words in WITHOUT_LOGIN},
        probes={shard.slots[0].first: ProbeResult(hops=() if shard == own else (shard.address,)) for shard in shards},
        stray_keys={},
        occupied_slots=SLOTS_WITH_KEYS if own.is_master else None,
        moved={
            shard.slots[0].first: f"MOVED {shard.slots[0].first} {shard.address}" for shard in shards if shard != own
        },
        time=1700000000.0,
        asked_at=1700000000.0,
        answered_in=0.004,
        second_time=1700000000.1,
    )


def _of(lines: Entries, master: NodeEntry) -> list[NodeEntry]:
    return [master, *(each for each in lines.values() if each.master_id == master.node_id)]
