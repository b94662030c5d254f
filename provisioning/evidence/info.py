"""INFO, CLUSTER INFO and CONFIG GET: flat text to a mapping, and secrets masked."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping

SECRET_SETTINGS = frozenset({"requirepass", "masterauth", "tls-key-file-pass", "tls-client-key-file-pass"})
"""Settings whose values never leave the process."""


def parse_info(text: str) -> dict[str, str]:
    """Read INFO or CLUSTER INFO: ``name:value`` lines. Section titles and anything else are left out."""
    return {
        name: value.rstrip("\r")
        for name, colon, value in (line.partition(":") for line in text.split("\n"))
        if colon and name and not name.startswith(("#", " "))
    }


def parse_subfields(text: str) -> dict[str, str]:
    """Read the ``key=value,key=value`` of INFO's ``db0`` and replica lines."""
    return {key: value for key, divided, value in (each.partition("=") for each in text.split(",")) if divided}


def mask_secrets(config: Mapping[str, str], salt: bytes) -> dict[str, str]:
    """Return the settings with passwords replaced, empty ones left empty.

    The replacement differs where the secrets differ, so that two nodes' can still be compared within
    one look; ``salt`` must be random for each look and must not be kept.
    """
    return {
        key: f"masked:{hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()[:8]}"
        if value and key in SECRET_SETTINGS
        else value
        for key, value in config.items()
    }


def masked_acl(users: Iterable[str]) -> tuple[str, ...]:
    """Return ACL LIST's lines without the hashes of passwords: of ``#<hash>`` the ``#`` is left."""
    return tuple(re.sub(r"#[0-9a-fA-F]+", "#", user) for user in users)
