"""Recordings: files with CLUSTER NODES output of one or several nodes, and saved captures, as one Evidence."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioning.errors import GauntletError
from provisioning.evidence.capture import SCHEMA, CaptureError, Evidence
from provisioning.evidence.listings import Listing, split_listings
from provisioning.evidence.node import NodeEvidence
from provisioning.evidence.recorded_files import EXPECTED, printable, recorded_files, recorded_text
from provisioning.evidence.sound import unsound
from provisioning.progress import say as say_progress

_MEANT_AS_CAPTURE = re.compile(r'\{.*?"schema"\s*:\s*\d', re.DOTALL)
_SHOWN_CHARACTERS = 80
_SEARCHED_CHARACTERS = 10_000


def read_recordings(paths: Sequence[Path], say: Callable[[str], None] = say_progress) -> Evidence:
    """Return what the recordings show, together: several views of one cluster.

    Each path is a file or a folder, of which every file counts that is not hidden; ``say`` is told what
    was left out. A listing is known as ``10.0.0.1:6379 in before.txt``: the address on the viewer's own
    line, where it has one, the file, and which of several listings in it. A capture keeps its names;
    beside it a listing of a node that did not answer takes the place of the missing answer.

    Raises CaptureError for what cannot be read, for a file without one line of CLUSTER NODES, and for
    listings of several clusters, which repairs would make one. A line that cannot be read in a listing
    that otherwise can is no error: rules find it.
    """
    files = recorded_files(paths, say)
    names = Counter(path.name for path in files)
    capture: tuple[str, Evidence] | None = None
    seen: list[NodeEvidence] = []
    for path in files:
        name = printable(path.name if names[path.name] == 1 else str(path))
        text = recorded_text(path)
        values = _capture_values(text, name)
        if values is None:
            seen += _listed(text, name)
        elif capture is None:
            capture = name, _capture(values, name)
        else:
            raise CaptureError(
                "two captures cannot be judged together: each is one moment of the whole cluster",
                observed=f"{capture[0]} and {name}",
                advice="judge them one at a time",
            )
    together = _together(capture[1] if capture else Evidence(()), seen)
    if together.wanted is None:
        _require_one_cluster(together)
    return together


def _capture_values(text: str, name: str) -> Mapping[str, Any] | None:
    """Return the JSON object of a capture; None for anything else that may hold a listing."""
    if not text.lstrip().startswith("{"):
        return None
    why = ""
    try:
        values = json.loads(text)
        if "\\u" in text:
            json.dumps(values, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except RecursionError:
        values, why = None, "nested too deeply"
    except ValueError as problem:
        values, why = None, str(problem)
    if isinstance(values, dict) and "schema" in values:
        if "nodes" in values or values["schema"] != SCHEMA:
            return values
        why = f"a JSON object with {_some(values)}"
    elif values is not None or not _MEANT_AS_CAPTURE.match(text.lstrip()):
        return None
    raise CaptureError(
        f"{name} is no whole capture",
        expected="a JSON object with schema and nodes",
        observed=why,
        advice="name the file that `python -m provisioning capture` wrote, and copy it as a whole",
    )


def _some(values: Mapping[str, Any]) -> str:
    return ", ".join(list(values)[:6])


def _capture(values: Mapping[str, Any], name: str) -> Evidence:
    try:
        evidence = Evidence.from_dict(values)
    except GauntletError as problem:
        raise CaptureError(
            f"{name}: {problem.summary}",
            expected=problem.expected,
            observed=problem.observed or f"schema {values['schema']!r}",
            advice=problem.advice or "record it again",
        ) from None
    if wrong := unsound(evidence):
        raise CaptureError(f"{name}: the capture is damaged", observed=wrong, advice="record it again")
    return evidence


def _listed(text: str, name: str) -> Iterator[NodeEvidence]:
    """Yield what each listing of the file shows."""
    listings = split_listings(text)
    if not listings:
        first = text[:_SEARCHED_CHARACTERS].strip().partition("\n")[0]
        shown = first if len(first) <= _SHOWN_CHARACTERS else first[:_SHOWN_CHARACTERS] + "..."
        raise CaptureError(
            f"no line of CLUSTER NODES in {name}",
            expected=EXPECTED,
            observed=f"it begins with {shown!r}",
            advice="record it again: redis-cli -h HOST -p PORT CLUSTER NODES > FILE",
        )
    for number, listing in enumerate(listings, 1):
        address = _address(listing)
        where = f"{name} ({number})" if len(listings) > 1 else name
        yield NodeEvidence(f"{address} in {where}" if address else where, address, cluster_nodes=listing.text)


def _address(listing: Listing) -> str:
    return listing.own.address if listing.own is not None and listing.own.ip else ""


def _together(capture: Evidence, seen: Sequence[NodeEvidence]) -> Evidence:
    """Return the capture with the listings as further views, or in place of answers that it lacks."""
    nodes = list(capture.nodes)
    lacking = {
        address: place
        for place, node in enumerate(nodes)
        if node.cluster_nodes is None
        for address in _addresses(capture, node)
    }
    for each in seen:
        place = lacking.pop(each.address, None) if each.address else None
        if place is None or nodes[place].cluster_nodes is not None:
            nodes.append(each)
        else:
            why = {field: reason for field, reason in nodes[place].not_collected.items() if field != "cluster_nodes"}
            nodes[place] = replace(nodes[place], cluster_nodes=each.cluster_nodes, not_collected=why)
    return replace(capture, nodes=tuple(nodes))


def _require_one_cluster(evidence: Evidence) -> None:
    """Raise CaptureError where views have neither a node nor an address in common, not even by way of others.

    A view of a node that knows only itself may well be of the same cluster: it has been reset.
    """
    groups: list[tuple[list[str], set[str]]] = []
    for view in evidence.views:
        if len(view.entries) < 2:
            continue
        names, known = [view.seen_by], {name for each in view.entries for name in (each.node_id, each.address) if name}
        for group in [group for group in groups if group[1] & known]:
            groups.remove(group)
            names, known = group[0] + names, group[1] | known
        groups.append((names, known))
    if len(groups) > 1:
        raise CaptureError(
            f"{groups[0][0][0]} and {groups[1][0][0]} are of different clusters: they share no node and no address",
            expected="listings of one cluster; repairs for several together would make them one",
            observed=f"{len(groups)} clusters in {sum(len(names) for names, _ in groups)} listings",
            advice="judge each cluster by itself",
        )


def _addresses(capture: Evidence, seen: NodeEvidence) -> Iterator[str]:
    """Yield under which addresses others know that node."""
    yield seen.address
    for node in capture.wanted.nodes if capture.wanted else ():
        if node.full_name == seen.name:
            yield from (f"{address}:{node.port}" for address in (node.announced, node.lan, *node.bound) if address)
