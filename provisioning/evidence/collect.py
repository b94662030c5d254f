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
from provisioning.evidence.info import mask_secrets, masked_acl, parse_info, parse_subfields
from provisioning.evidence.node import NodeEvidence
from provisioning.evidence.rows import pairs, plain
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from provisioning.slots import SLOTS, key_in_slot

LOOK_SECONDS = 5.0
"""How long a node may take for all its answers. A healthy one takes milliseconds."""

MORE_SECONDS = 3.0
"""The same for what is asked once all have answered. With LOOK_SECONDS and the hosts' SCRIPT_SECONDS, which run
beside it, a whole look stays under 15 s."""

DANGEROUS = ("FLUSHALL", "CONFIG", "DEBUG", "SHUTDOWN")
"""Commands that end a cluster's data, its configuration or itself: nobody unknown may send them."""

WITHOUT_LOGIN = (("PING",), ("CONFIG", "GET", "maxmemory"))
"""What is asked without a login. Both only read; the second says whether more than a greeting is allowed."""

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
    "acl": ("ACL", "LIST"),
    "commands": ("COMMAND", "INFO", *DANGEROUS),
    "time": ("TIME",),
}
"""What is asked for a whole look."""


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
    deadline: float = LOOK_SECONDS,
) -> Evidence:
    """Return what these nodes (default: all) answer. Nothing is written.

    With ``redirects`` each node is asked for one key of every shard, for its raw redirect. Once all
    have answered EVERYTHING, they are asked what needs these answers (see ``ask_more``). A node that
    does not answer within ``deadline`` seconds is evidence too. Secrets are masked.
    """
    began = time.monotonic()
    evidence = first_look(inventory, nodes, questions=questions, redirects=redirects, deadline=deadline)
    if questions is EVERYTHING:
        evidence = ask_more(inventory, evidence)
    return replace(evidence, duration=round(time.monotonic() - began, 3))


def first_look(
    inventory: Inventory,
    nodes: Iterable[Node] | None = None,
    *,
    questions: Mapping[str, tuple[str, ...]] = EVERYTHING,
    redirects: bool = True,
    deadline: float = LOOK_SECONDS,
) -> Evidence:
    """Return what the nodes answer to the questions; see ``collect``."""
    asked = list(inventory.nodes if nodes is None else nodes)
    slots = [shard.master.slots[0].first for shard in inventory.shards if shard.master.slots] if redirects else []
    salt = secrets.token_bytes(16)
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        seen = tuple(pool.map(lambda node: _ask(node, questions, slots, salt, deadline), asked))
    return Evidence(seen, wanted=inventory, taken_at=datetime.now(UTC).isoformat(timespec="milliseconds"))


def ask_more(inventory: Inventory, evidence: Evidence, deadline: float = MORE_SECONDS) -> Evidence:
    """Return the evidence with what can only be asked once all nodes have answered.

    Replication again: what a replica still lacks then of what its master had before, it lags behind.
    The number of keys in the slots that a node has no business with. And an answer without a login.
    """
    nodes = {node.full_name: node for node in inventory.nodes}

    def more(first: NodeEvidence) -> NodeEvidence:
        node = nodes[first.name]
        return _without_login(node, _ask_again(node, first, deadline), deadline)

    with ThreadPoolExecutor(max(1, len(evidence.nodes))) as pool:
        return replace(evidence, nodes=tuple(pool.map(more, evidence.nodes)))


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
            again = parse_info(str(link.call("INFO", "replication")))
            first = replace(first, second_info=again)
        except (NodeUnreachable, Refused) as problem:
            return replace(first, not_collected={**first.not_collected, "second_info": str(problem)})
        foreign = _foreign_slots(first)
        try:
            counted = link.calls([("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in foreign]) if foreign else []
        except (NodeUnreachable, Refused) as problem:
            return replace(first, not_collected={**first.not_collected, "stray_keys": str(problem)})
        stray = {slot: int(count) for slot, count in zip(foreign, counted, strict=True) if int(count)}
        return replace(first, stray_keys=stray)


def _foreign_slots(node: NodeEvidence) -> list[int]:
    """Return the slots whose keys the node has no business with, empty where it has no key at all.

    Its own are those of its master; a slot that it imports may have keys already.
    """
    own = node.view.myself if node.view else None
    keys = parse_subfields((node.info or {}).get("db0", "")).get("keys", "0")
    if node.view is None or own is None or keys == "0":
        return []
    leader = node.view.entry(own.master_id) if own.is_replica else own
    open_here = {slot for slot, _ in (*own.importing, *(leader.importing if leader else ()))}
    business = [*own.slots, *(leader.slots if leader else ())]
    mine = {slot for each in business for slot in each} | open_here
    return [slot for slot in range(SLOTS) if slot not in mine]


def _without_login(node: Node, seen: NodeEvidence, deadline: float) -> NodeEvidence:
    """Add what the node answers to whoever does not log in: read and write go nowhere, nothing is changed."""
    stranger = Connection(node.outside, tls=node.tls, deadline=deadline, read_only=True)
    with stranger as link:
        try:
            answers = link.calls(WITHOUT_LOGIN, raise_refusals=False)
        except NodeUnreachable as problem:
            if seen.unreachable:
                return seen
            return replace(seen, not_collected={**seen.not_collected, "anonymous": str(problem.observed)})
    said = {
        " ".join(words[:2]): str(answer) if isinstance(answer, Refused) else "OK"
        for words, answer in zip(WITHOUT_LOGIN, answers, strict=True)
    }
    return replace(seen, anonymous=said)


def _read(field: str, answer: Any, salt: bytes) -> Any:
    match field:
        case "info" | "cluster_info":
            return parse_info(str(answer))
        case "config":
            return mask_secrets({name: str(value) for name, value in pairs(plain(answer)).items()}, salt)
        case "acl":
            return masked_acl(map(str, plain(answer)))
        case "commands":
            return {name: bool(found) for name, found in zip(DANGEROUS, answer, strict=True)}
        case "time":
            return int(answer[0]) + int(answer[1]) / 1e6
        case _:
            return plain(answer)
