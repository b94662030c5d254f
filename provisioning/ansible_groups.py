"""Groups, children and hosts of an Ansible inventory: the variables that each host has in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioning.ansible_value import check_name, kind_of, mapping, refusal

Found = dict[str, dict[str, Any]]
"""Variables by host."""


def variables_by_host(source: str, document: Mapping[Any, Any]) -> Found:
    """Return each host's variables: its own over those of its groups, a child group's over its parent's.

    Raises InventoryError: no host, a group that contains itself, a host range, a shape that no group has.
    """
    found: Found = {}
    try:
        _walk(source, "all", document.get("all"), {}, found)
        for group in [each for each in document if each != "all"]:
            _walk(source, str(group), document[group], _vars_of_all(source, document), found)
    except RecursionError:
        raise refusal(source, "a group must not contain itself", "groups nested without end") from None
    if not found:
        raise refusal(source, "it names no host", "no group has `hosts`")
    return found


def _walk(source: str, group: str, content: object, inherited: Mapping[str, Any], found: Found) -> None:
    if content is None:
        return
    if not isinstance(content, dict) or not set(content) <= {"hosts", "vars", "children"}:
        extra = sorted(map(str, set(content) - {"hosts", "vars", "children"})) if isinstance(content, dict) else []
        raise refusal(
            source,
            f"group {group!r} may have `hosts`, `vars` and `children` only",
            f"found {', '.join(extra) or kind_of(content)}",
        )
    own = mapping(source, f"vars of {group!r}", content.get("vars"))
    here = {**inherited, **own}
    for child, inner in mapping(source, f"children of {group!r}", content.get("children")).items():
        _walk(source, str(child), inner, here, found)
    for host, values in mapping(source, f"hosts of {group!r}", content.get("hosts")).items():
        name = str(host)
        if "[" in name:
            raise refusal(source, "host ranges are not understood here: write each host out", name)
        check_name(source, "a host", name)
        specific = mapping(source, f"variables of {name!r}", values)
        found[name] = {**here, **found.get(name, {}), **specific}


def _vars_of_all(source: str, document: Mapping[Any, Any]) -> dict[str, Any]:
    content = document.get("all")
    return mapping(source, "vars of 'all'", content.get("vars")) if isinstance(content, dict) else {}
