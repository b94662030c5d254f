"""Ask all nodes of an inventory at once, each with its own deadline, and keep what they say."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from provisioning.errors import NodeUnreachable, WaitTimeout
from provisioning.evidence.capture import Evidence
from provisioning.evidence.info import mask_secrets, masked_acl, parse_info
from provisioning.evidence.key_count import with_key_counts
from provisioning.evidence.node import NodeEvidence
from provisioning.evidence.replication import parse_replication
from provisioning.evidence.rows import pairs, plain
from provisioning.evidence.side_by_side import side_by_side
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from provisioning.slots import key_in_slot
from provisioning.waiting import wait_until

LOOK_SECONDS = 5.0
"""How long a node may take for all its answers. A healthy one takes milliseconds."""

SLACK_SECONDS = 0.5
"""What is allowed beyond a deadline before a node counts as one that gave no answer: a name that nobody resolves
and a second address of the same name know no deadline."""

MORE_SECONDS = 3.0
"""How long one answer of what is asked once all have answered may take."""

REST_SECONDS = 8.0
"""How long all of that may take, of nodes and hosts. With LOOK_SECONDS a whole look stays under 15 s."""

LAG_SECONDS = 1.0
"""How long a replica has to read what its master had written at the first sample: one that writes at full speed on
a busy machine is a moment ahead of its replicas at any time."""

GREETING_SECONDS = 1.0
"""How long a node that was silent for LOOK_SECONDS has to answer whoever does not log in; left for it at the end."""

DANGEROUS = ("FLUSHALL", "CONFIG", "DEBUG", "SHUTDOWN")
"""Commands that end a cluster's data, its configuration or itself: nobody unknown may send them."""

WITHOUT_LOGIN = (("PING",), ("CONFIG", "GET", "maxmemory"))
"""What is asked without a login. Both only read; the second says whether more than a greeting is allowed."""

HUNG_UP = ("TLS: it asks for", "TLS: no handshake:", "[Errno 104]", "[Errno 32]", "the server closed")
"""How an error begins where a server ends a connection for want of a client certificate: by an alert of TLS, or,
where that is overtaken by the end, without a word (TLS 1.3: after the client's side of the handshake)."""

MEMBERSHIP: Mapping[str, tuple[str, ...]] = {
    "cluster_nodes": ("CLUSTER", "NODES"),
    "cluster_info": ("CLUSTER", "INFO"),
    "info": ("INFO", "replication"),
}
"""What is asked while a cluster is changed, often: field of NodeEvidence -> command."""

TOPOLOGY: Mapping[str, tuple[str, ...]] = {
    **MEMBERSHIP,
    "cluster_slots": ("CLUSTER", "SLOTS"),
    "cluster_shards": ("CLUSTER", "SHARDS"),
}
"""What is asked for readiness, often: the same, and what clients ask."""

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
        first, *others = (f"{node.outside[0]}:{node.outside[1]}" for node in inventory.nodes)
        raise NodeUnreachable(
            f"no node of {inventory.source or inventory.name} lets us in: nothing can be judged",
            expected=f"an answer from one of {len(seen.nodes)} nodes within {deadline:.0f} s",
            observed="; ".join(sorted({node.unreachable or node.not_collected["time"] for node in seen.nodes}))[:300],
            advice=f"see that Redis runs at {first} and {len(others)} more addresses; correct them, redis_user, "
            "redis_password and redis_tls_* in the inventory, or set REDIS_GAUNTLET_USER, _PASSWORD and _TLS_*",
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
    jobs = {node.full_name: partial(_ask, node, questions, slots, salt, deadline) for node in asked}
    done = side_by_side(jobs, deadline + SLACK_SECONDS)
    late = f"no answer within {deadline:.0f} s"
    seen = tuple(
        done[node.full_name] or NodeEvidence(node.full_name, node.address, node.host, unreachable=late)
        for node in asked
    )
    return Evidence(seen, wanted=inventory, taken_at=datetime.now(UTC).isoformat(timespec="milliseconds"))


def ask_more(inventory: Inventory, evidence: Evidence, deadline: float = MORE_SECONDS) -> Evidence:
    """Return the evidence with what can only be asked once all nodes have answered.

    Replication again: what a replica still lacks LAG_SECONDS later of what its master had, it lags behind.
    The number of keys in the slots that a node has no business with. And an answer without a login.
    """
    nodes = {node.full_name: node for node in inventory.nodes}
    until = time.monotonic() + REST_SECONDS - SLACK_SECONDS

    def more(first: NodeEvidence) -> NodeEvidence:
        node = nodes[first.name]
        again = _ask_again(node, first, _written(evidence, first), deadline, until - GREETING_SECONDS)
        patience = GREETING_SECONDS if first.unreachable else deadline
        return _without_login(node, again, min(patience, until - time.monotonic()))

    done = side_by_side({first.name: partial(more, first) for first in evidence.nodes}, REST_SECONDS)
    return replace(evidence, nodes=tuple(done[first.name] or _late(first) for first in evidence.nodes))


def ask_who_lags(inventory: Inventory, evidence: Evidence, deadline: float = MORE_SECONDS) -> Evidence:
    """Return the evidence with replicas that lacked what their master had asked for their side again.

    All nodes are asked at the same time: under writes a replica that answered before its master must be behind it.
    """
    nodes = {node.full_name: node for node in inventory.nodes}

    def again(first: NodeEvidence, written: int) -> NodeEvidence:
        with Connection.to(nodes[first.name], deadline=deadline, read_only=True) as link:
            try:
                said, _ = _second_sample(link, written)
            except (NodeUnreachable, Refused):
                return first
        return first if isinstance(said, Refused) else replace(first, second_info=parse_info(str(said)))

    behind = {
        seen.name: partial(again, seen, written)
        for seen in evidence.nodes
        if (written := _written(evidence, seen)) > (seen.replication.offset if seen.replication else written)
    }
    done = side_by_side(behind, REST_SECONDS) if behind else {}
    return replace(evidence, nodes=tuple(done.get(seen.name) or seen for seen in evidence.nodes))


def _late(first: NodeEvidence) -> NodeEvidence:
    """Return the evidence of a node that answered once, and then not in time."""
    missing = dict.fromkeys(("second_info", "stray_keys", "anonymous"), f"no answer within {REST_SECONDS:.0f} s")
    return replace(first, not_collected={**missing, **first.not_collected})


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
            answered = time.time()
        except (NodeUnreachable, Refused) as problem:
            why = problem.observed if isinstance(problem, NodeUnreachable) else str(problem).partition(". ")[0]
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
        asked_at=(asked + answered) / 2,
        answered_in=answered - asked,
        loading=any("LOADING" in why for why in missing.values()),
        not_collected=missing,
    )


def _written(evidence: Evidence, node: NodeEvidence) -> int:
    """Return the offset that this node, if it is a replica whose link is up, has to reach; else -1."""
    own = node.view.myself if node.view else None
    master = evidence.of_entry(own.master_id) if own else None
    if node.replication is None or not node.replication.link_up or master is None or master.replication is None:
        return -1
    return master.replication.offset


def _second_sample(link: Connection, written: int) -> list[Any]:
    """Return INFO replication and TIME, asked until the offset is reached, for LAG_SECONDS."""
    answers: list[Any] = []

    def caught_up() -> bool:
        answers[:] = link.calls([("INFO", "replication"), ("TIME",)], raise_refusals=False)
        return parse_replication(parse_info(str(answers[0]))).offset >= written

    with suppress(WaitTimeout):
        wait_until(caught_up, "what the master had written", LAG_SECONDS)
    return answers


def _ask_again(node: Node, first: NodeEvidence, written: int, deadline: float, until: float) -> NodeEvidence:
    if first.info is None:
        return first
    with Connection.to(node, deadline=deadline, read_only=True) as link:
        try:
            again, moment = _second_sample(link, written)
        except (NodeUnreachable, Refused) as problem:
            return replace(first, not_collected={**first.not_collected, "second_info": str(problem)})
        if isinstance(again, Refused):
            first = replace(first, not_collected={**first.not_collected, "second_info": str(again)})
        else:
            later = None if isinstance(moment, Refused) else float(_read("time", moment, b""))
            first = replace(first, second_info=parse_info(str(again)), second_time=later)
        try:
            return with_key_counts(link, first, until - time.monotonic())
        except (NodeUnreachable, Refused) as problem:
            return replace(first, not_collected={**first.not_collected, "stray_keys": str(problem)})


def _without_login(node: Node, seen: NodeEvidence, deadline: float) -> NodeEvidence:
    """Add what the node answers to whoever does not log in: read and write go nowhere, nothing is changed.

    Nor does such a caller have our certificate. One whom the node therefore hangs up on is kept out, if
    it had let us in with ours.
    """
    tls = replace(node.tls, cert_file="", key_file="") if node.tls is not None else None
    stranger = Connection(node.outside, tls=tls, deadline=deadline, read_only=True)
    with stranger as link:
        try:
            answers = link.calls(WITHOUT_LOGIN, raise_refusals=False)
        except Refused as refusal:  # for whoever is not let in at all
            answers = [refusal] * len(WITHOUT_LOGIN)
        except NodeUnreachable as problem:
            if seen.unreachable:
                return seen
            if tls != node.tls and problem.observed.startswith(HUNG_UP):
                kept_out = f"NOAUTH without a client certificate ({problem.observed})"
                return replace(seen, anonymous={" ".join(words[:2]): kept_out for words in WITHOUT_LOGIN})
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
            return masked_acl(map(str, plain(answer)), salt)
        case "commands":
            return {name: bool(found) for name, found in zip(DANGEROUS, answer, strict=True)}
        case "time":
            return int(answer[0]) + int(answer[1]) / 1e6
        case _:
            return plain(answer)
