"""One value of an Ansible variable: of the type that is wanted, or refused without giving a password away."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from provisioning.errors import InventoryError

SECRET_NAME = re.compile(r"(_password|_pass|redis_settings|requirepass|masterauth|-pass)$")
"""Variables and settings whose values stand in no message."""


KINDS = {bool: "true or false", int: "a whole number", str: "text", dict: "a mapping", list: "a list"}
"""What a type's values are called."""


def typed(source: str, name: str, value: object, kind: type) -> Any:
    """Return the value as that type, read as Ansible reads it: yes and no, digits in quotes. Raises InventoryError."""
    if isinstance(value, str) and "{{" in value:
        expected = f"{name} is a template; templates are not understood here: write the value"
        raise refusal(source, expected, shown(name, value, str))
    if kind is bool and isinstance(value, str) and value.lower() in ("yes", "no", "true", "false"):
        return value.lower() in ("yes", "true")
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if kind is int and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise refusal(source, f"{name} must be {KINDS[kind]}", f"found {shown(name, value)}")
    return value


def mapping(source: str, what: str, value: object) -> dict[str, Any]:
    """Return a mapping with its keys as text; nothing is an empty one. Raises InventoryError."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refusal(source, f"{what} must be a mapping", f"found {kind_of(value)}")
    return {str(key): each for key, each in value.items()}


def check_name(source: str, what: str, name: str) -> None:
    """Raise InventoryError for a name that cannot be one of a host or node."""
    if not name or "/" in name or any(each.isspace() or not each.isprintable() for each in name):
        raise refusal(source, f"the name of {what} must be a word without slash", repr(name))


def shown(name: str, value: object, show: Callable[[object], str] = repr) -> str:
    """Return a value for a message; one that is or may hold a password is not shown."""
    return "(not shown)" if SECRET_NAME.search(name) else show(value)


def kind_of(value: object) -> str:
    """Return ``nothing``, ``a list``, ..."""
    return "nothing" if value is None else f"a {type(value).__name__}"


def refusal(source: str, why: str, observed: str) -> InventoryError:
    """Return the error for an inventory that cannot be used; ``source`` is its name."""
    return InventoryError(
        f"the inventory {source} cannot be used: {why}",
        expected="an Ansible inventory in YAML, of the subset that is understood",
        observed=observed,
        advice="correct the file; the head of provisioning/ansible_inventory.py describes the subset",
    )
