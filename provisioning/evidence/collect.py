"""Ask all nodes of an inventory at once, each with its own deadline, and keep what they say."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from provisioning.errors import NodeUnreachable
from provisioning.evidence.capture import Evidence
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.info import mask_secrets, parse_info
from provisioning.evidence.node import NodeEvidence
from provisioning.evidence.rows import pairs, plain
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot

LOOK_SECONDS = 5.0
"""How long a node may take for all its answers. A healthy one takes milliseconds."""

TOPOLOGY: Mapping[str, tuple[str, ...]] = {
    "cluster_nodes": ("CLUSTER", "NODES"),
    "cluster_slots": ("CLUSTER", "SLOTS"),
    "cluster_shards": ("CLUSTER", "SHARDS"),
    "cluster_info": ("CLUSTER", "INFO"),
    "info": ("INFO", "replication"),
}
"""What is asked for readiness, often: field of NodeEvidence -> command."""

EVERYTHING: Mapping[str, tuple[str, ...]] = {
    **TOPOLOGY,
    "info": ("INFO", "everything"),
    "config": ("CONFIG", "GET", "*"),
    "time": ("TIME",),
}


def require_answers(inventory: Inventory, deadline: float = LOOK_SECONDS) -> None:
    """Make sure that there is a cluster to be judged: that some node lets us in.

    Raises NodeUnreachable where every one of them is silent or refuses the login.
    """
    seen = collect(inventory, questions={"time": ("TIME",)}, redirects=False, deadline=deadline)
    if all(node.time is None for node in seen.nodes):
        raise NodeUnreachable(
            f"no node of {inventory.source or inventory.name} lets us in: nothing can be judged",
            expected=f"an answer from one of {len(seen.nodes)} nodes within {deadline:.0f} s",
            observed="; ".join(sorted({node.unreachable or node.not_collected["time"] for node in seen.nodes}))[:300],
            advice="correct addresses and redis_password in the inventory (or REDIS_GAUNTLET_PASSWORD)",
        )


def collect(
    inventory: Inventory,
    nodes: Iterable[Node] | None = None,
    *,
    questions: Mapping[str, tuple[str, ...]] = EVERYTHING,
    redirects: bool = True,
    hosts: Iterable[HostEvidence] = (),
    deadline: float = LOOK_SECONDS,
) -> Evidence:
    """Return what these nodes (default: all) answer. Nothing is written.

    With ``redirects`` each node is asked for one key of every shard, for its raw redirect. Once all
    have answered EVERYTHING, replication is asked about again: what a replica still lacks then of what
    its master had before, it lags behind. A node that does not answer within ``deadline`` seconds is
    evidence too. Secrets are masked.
    """
    began = time.monotonic()
    asked = list(inventory.nodes if nodes is None else nodes)
    slots = [shard.master.slots[0].first for shard in inventory.shards if shard.master.slots] if redirects else []
    salt = secrets.token_bytes(16)
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        seen = tuple(pool.map(lambda node: _ask(node, questions, slots, salt, deadline), asked))
        if questions is EVERYTHING:
            seen = tuple(pool.map(lambda node, first: _ask_again(node, first, deadline), asked, seen))
    return Evidence(
        seen,
        tuple(hosts),
        inventory,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
        round(time.monotonic() - began, 3),
    )


def _ask(
    node: Node, questions: Mapping[str, tuple[str, ...]], slots: list[int], salt: bytes, deadline: float
) -> NodeEvidence:
    answers: dict[str, Any] = {}
    missing: dict[str, str] = {}
    commands = [*questions.values(), *(("GET", key_in_slot(slot, "redis-gauntlet:look:")) for slot in slots)]
    with Connection.to(node, deadline=deadline, read_only=True) as link:
        try:
            asked = time.time()
            raw = link.calls(commands, raise_refusals=False)
            middle = (asked + time.time()) / 2
        except (NodeUnreachable, Refused) as problem:
            why = problem.observed if isinstance(problem, NodeUnreachable) else str(problem)
            return NodeEvidence(node.full_name, node.address, node.host, unreachable=why or str(problem))
    for field, answer in zip(questions, raw, strict=False):
        if isinstance(answer, Refused):
            missing[field] = str(answer)
        else:
            answers[field] = _read(field, answer, salt)
    moved = {
        slot: str(answer)
        for slot, answer in zip(slots, raw[len(questions) :], strict=True)
        if isinstance(answer, Refused) and answer.code == "MOVED"
    }
    return NodeEvidence(
        node.full_name,
        node.address,
        node.host,
        **answers,
        moved=moved if slots else None,
        asked_at=middle,
        loading=any("LOADING" in why for why in missing.values()),
        not_collected=missing,
    )


def _ask_again(node: Node, first: NodeEvidence, deadline: float) -> NodeEvidence:
    if first.info is None:
        return first
    with Connection.to(node, deadline=deadline, read_only=True) as link:
        try:
            return replace(first, second_info=parse_info(str(link.call("INFO", "replication"))))
        except (NodeUnreachable, Refused) as problem:
            return replace(first, not_collected={**first.not_collected, "second_info": str(problem)})


def _read(field: str, answer: Any, salt: bytes) -> Any:
    match field:
        case "info" | "cluster_info":
            return parse_info(str(answer))
        case "config":
            return mask_secrets({name: str(value) for name, value in pairs(plain(answer)).items()}, salt)
        case "time":
            return int(answer[0]) + int(answer[1]) / 1e6
        case _:
            return plain(answer)
