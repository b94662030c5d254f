"""INFO, CLUSTER INFO and CONFIG GET: flat text to a mapping, and secrets masked."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

SECRET_SETTINGS = frozenset(
    {"requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"}
)
"""Settings whose values never leave the process."""

_NUMBER = re.compile(r"-?[0-9]{1,20}")


def parse_info(text: str) -> dict[str, str]:
    """Read INFO or CLUSTER INFO: ``name:value`` lines. Section titles and anything else are left out."""
    return {
        name: value.rstrip("\r")
        for name, colon, value in (line.partition(":") for line in text.split("\n"))
        if colon and name and not name.startswith(("#", " "))
    }


def server_version(info: Mapping[str, str]) -> str:
    """Return the server's version that INFO says (Valkey's own where it is one), or nothing."""
    return info.get("valkey_version") or info.get("redis_version", "")


def parse_subfields(text: str) -> dict[str, str]:
    """Read the ``key=value,key=value`` of INFO's ``db0`` and replica lines."""
    return {key: value for key, divided, value in (each.partition("=") for each in text.split(",")) if divided}


def keys_by_database(info: Mapping[str, str]) -> dict[int, int]:
    """Return how many keys INFO says that there are, by database; those without any are left out."""
    counts = {
        int(name[2:]): parse_number(parse_subfields(value).get("keys")) or 0
        for name, value in info.items()
        if name[:2] == "db" and name[2:].isdecimal()
    }
    return {number: count for number, count in counts.items() if count}


def parse_number(text: str | None) -> int | None:
    """Return the whole number that a field or setting is; None where it is not there or none."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def mask_secrets(config: Mapping[str, str], salt: bytes) -> dict[str, str]:
    """Return the settings with passwords replaced, empty ones left empty.

    The replacement differs where the secrets differ, so that two nodes' can still be compared within
    one look; ``salt`` must be random for each look and must not be kept.
    """
    return {
        key: f"masked:{_mask(hashlib.sha256(value.encode()).hexdigest(), salt)}"
        if value and key in SECRET_SETTINGS
        else value
        for key, value in config.items()
    }


def masked_acl(users: Iterable[str], salt: bytes) -> tuple[str, ...]:
    """Return ACL LIST's lines with the hashes of passwords replaced, as ``mask_secrets`` replaces the passwords.

    ``#1a2b3c4d`` of a user and ``masked:1a2b3c4d`` of a setting are the same password.
    """
    return tuple(re.sub(r"#([0-9a-f]{64})\b", lambda found: f"#{_mask(found[1], salt)}", user) for user in users)


def _mask(digest: str, salt: bytes) -> str:
    return hmac.new(salt, digest.encode(), hashlib.sha256).hexdigest()[:8]
