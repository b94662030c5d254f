"""Listing: one CLUSTER NODES output in a text that holds one or several, and where each begins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from provisioning.cluster_nodes import ESCAPED_BREAK, ID_LENGTH, NodeEntry, may_have_entries, parse_cluster_nodes

_BREAK = re.compile(rf"(\n|{ESCAPED_BREAK.pattern})")
_DAMAGED_ENTRY = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_PLACE = r"[\[(]?(?:[\w.-]+|[0-9a-f:]+\]?):\d{1,5}[\])]?"
_HEADING = re.compile(
    rf"""
    [=*\#>+~_-]{{2,}}.*                           # a ruled line: == redis-1 ==
    | .*[^\W_]\W*:                                # a title: redis-1, before the restart:
    | (?:[A-Za-z]+(?:-\w+)*\s+){{0,5}}{_PLACE}(?:\s+\([^()]*\))?  # a place: seen by 10.0.0.1:6379 (host 1)
    """,
    re.VERBOSE,
)
_LONGEST_HEADING = 120
_BEGINNING = re.compile(
    r"""
    vars\s+currentEpoch\b.*       # the last line of a nodes.conf
    | .*\bcluster\s+nodes\W*      # the command, behind a prompt
    | ==>\s.*\s<==                # a file's name, by head and tail
    | [$*]\d+                     # a RESP length
    """,
    re.VERBOSE | re.IGNORECASE,
)
_KEY = re.compile(r"""["']\s*:\s*\[?\s*["']$""")
"""A JSON key before the first entry of its value."""


@dataclass(frozen=True)
class Listing:
    """One node's output. ``own`` is the viewer's entry, None where no line carries ``myself``.

    In ``text`` everything before the listing is blank, so that line numbers are those of the whole
    text, and headings are gone.
    """

    text: str
    own: NodeEntry | None


class _Break(IntEnum):
    """What is between two entries: nothing, something that may divide listings, or that surely does."""

    NONE = 0
    MAYBE = 1
    SURE = 2


@dataclass(frozen=True)
class _Gap:
    """The text before an entry. ``before`` stays with the entry above when a listing begins at the one below."""

    before: str
    after: str
    kind: _Break


_PLAIN = _Gap("", "\n", _Break.NONE)


def split_listings(text: str) -> tuple[Listing, ...]:
    """Return the listings of a text in their order; none where it has no readable entry.

    A listing begins at an entry that cannot belong to the one above: at a second ``myself``, at a node
    that was listed already, and behind a nodes.conf's last line or a typed command. It then begins at
    the nearest blank line or heading above, so that also members that nobody else lists are in the
    right one. One entry that is repeated without anything between is a doubled line, and no listing.
    Linear in the text's length.
    """
    entries = parse_cluster_nodes(text).entries if may_have_entries(text) else ()
    if not entries:
        return ()
    gaps, rest = _gaps(text, entries)
    firsts = list(_firsts(entries, gaps))
    found: list[Listing] = []
    lines_above = 0
    for first, end in pairwise([*firsts, len(entries)]):
        parts = ["" if first else gaps[first].before, gaps[first].after, entries[first].line]
        for gap, entry in zip(gaps[first + 1 : end], entries[first + 1 : end], strict=True):
            parts += (gap.before, gap.after, entry.line)
        parts.append(gaps[end].before if end < len(entries) else rest)
        listing = "".join(parts)
        own = next((entry for entry in entries[first:end] if entry.is_myself), None)
        found.append(Listing("\n" * lines_above + listing, own))
        lines_above += listing.count("\n")
    return tuple(found)


def _gaps(text: str, entries: Sequence[NodeEntry]) -> tuple[list[_Gap], str]:
    """Return what is before each entry, and what is left after the last one."""
    gaps: list[_Gap] = []
    end = 0
    for entry in entries:
        start = text.index(entry.line, end)
        between = text[end:start]
        gaps.append(_PLAIN if between == "\n" else _gap(between, is_first=not gaps))
        end = start + len(entry.line)
    remainder, *lines = _BREAK.split(text[end:])
    return gaps, "".join((remainder, *map(_without_heading, lines)))


def _gap(between: str, *, is_first: bool) -> _Gap:
    """Divide what is between two entries where a listing would begin: at the first line that is no damaged entry."""
    parts = _BREAK.split(between)  # lines at the even places, the break behind each at the odd ones
    first = 0 if is_first or len(parts) == 1 else 2
    lines = parts[first:-1:2]
    kind = _Break.NONE
    if any(_BEGINNING.fullmatch(line.strip()) for line in lines):
        kind = _Break.SURE
    elif _KEY.search(parts[-1]) or not all(map(_DAMAGED_ENTRY.search, lines)):
        kind = _Break.MAYBE
    while first < len(parts) - 1 and _DAMAGED_ENTRY.search(parts[first]):
        first += 2
    return _Gap("".join(parts[:first]), "".join((*map(_without_heading, parts[first:-1]), parts[-1])), kind)


def _without_heading(line: str) -> str:
    """Return the line, or nothing where it is the title of what follows and no part of a listing."""
    title = line.strip()
    is_heading = len(title) <= _LONGEST_HEADING and not _DAMAGED_ENTRY.search(title) and _HEADING.fullmatch(title)
    return "" if is_heading else line


def _firsts(entries: Sequence[NodeEntry], gaps: Sequence[_Gap]) -> Iterator[int]:
    """Yield the place of each listing's first entry."""
    block = 0
    places: dict[str, int] = {}
    own = ""
    yield 0
    for place, (entry, gap) in enumerate(zip(entries, gaps, strict=True)):
        block = place if gap.kind else block
        is_rival = entry.is_myself and own not in ("", entry.node_id)
        earlier = places.get(own if is_rival else entry.node_id)
        is_second = earlier is not None and (is_rival or block > earlier or _goes_on(entries, place, places))
        if is_second or (places and gap.kind is _Break.SURE):
            begin = block if earlier is None or block > earlier else place
            yield begin
            places = {each.node_id: number for number, each in enumerate(entries[begin:place], begin)}
            own = next((each.node_id for each in entries[begin:place] if each.is_myself), "")
        places.setdefault(entry.node_id, place)
        own = own or (entry.node_id if entry.is_myself else "")


def _goes_on(entries: Sequence[NodeEntry], place: int, places: Mapping[str, int]) -> bool:
    """True where the next entry, another one, was listed before as well: no doubled line, a listing."""
    following = entries[place + 1].node_id if place + 1 < len(entries) else ""
    return following in places and following != entries[place].node_id
