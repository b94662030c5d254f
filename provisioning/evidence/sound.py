"""Whether evidence that was read from a file is what its types promise: nobody type-checks JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from provisioning.evidence.capture import Evidence
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.node import NodeEvidence

_SHOWN_CHARACTERS = 80


def unsound(evidence: Evidence) -> str:
    """Return the first thing in it that is not of its type, has no name of its own or cannot be parsed; or nothing."""
    seen: tuple[NodeEvidence | HostEvidence, ...] = (*evidence.nodes, *evidence.hosts)
    hosts = evidence.wanted.hosts if evidence.wanted else ()
    wanted = (*(node for host in hosts for node in host.nodes), *hosts)
    for part in (*seen, *wanted, evidence.wanted, evidence):
        for name, value in _mistyped(part) if part else ():
            return f"{type(part).__name__} {_shown(getattr(part, 'name', ''))}: {name} is {_shown(value)}"
    for (kind, called), often in Counter((type(part), part.name) for part in seen).items():
        if not called or often > 1:
            return f"{often} {kind.__name__} called {_shown(called)}"
    return next(filter(None, map(_unparsable, evidence.nodes)), "")


def _mistyped(part: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each field that is not what its annotation says."""
    kind: Any = type(part)
    for name, hint in _hints(kind).items():
        value = getattr(part, name)
        if not _fits(value, hint):
            yield name, value


def _unparsable(node: NodeEvidence) -> str:
    try:
        _ = node.view, node.slots_rows, node.shard_rows, node.replication, node.second_replication
    except (ValueError, TypeError, AttributeError, LookupError) as problem:
        return f"{node.name}: {_shown(problem)}"
    return ""


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind)}


def _fits(value: Any, hint: Any) -> bool:
    """True where the value is what the annotation says; of dataclasses every field."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind is Any:
        return True
    if kind in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is None or kind is NoneType:
        return value is None
    if not isinstance(kind, type):
        return value in inner  # Literal
    if not isinstance(value, kind):
        return False
    if isinstance(value, Mapping) and inner:
        return all(_fits(key, inner[0]) and _fits(each, inner[1]) for key, each in value.items())
    if isinstance(value, tuple) and inner and inner[-1] is not ...:
        return len(value) == len(inner) and all(map(_fits, value, inner))
    if isinstance(value, Sequence) and inner:
        return all(_fits(each, inner[0]) for each in value)
    return not is_dataclass(value) or not any(_mistyped(value))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
