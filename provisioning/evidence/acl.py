"""ACL LIST: which users there are, who needs a password, and which of the dangerous commands each may send. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_HARMFUL = ("keyspace", "write", "slow", "dangerous")
_ADMIN = ("admin", "slow", "dangerous")

CATEGORIES = {
    "flushall": _HARMFUL,
    "config|get": _ADMIN,
    "config|set": _ADMIN,
    "config|rewrite": _ADMIN,
    "debug": _ADMIN,
    "shutdown": _ADMIN,
}
"""What is judged, as ACL rules name it, and its categories: the same by ACL CAT of Redis 6.0 to 8.0 and Valkey 8 and 9.

CONFIG RESETSTAT and CONFIG HELP are left out: they neither show nor change a setting.
"""

_WHOLE = {"config": ("config|get", "config|set", "config|rewrite")}


@dataclass(frozen=True)
class AclUser:
    """A user as ACL LIST shows it. ``passwords`` are what stands there for each: ``#`` and what the mask left.

    ``may`` are the dangerous commands that the user may send: ``FLUSHALL``, ``CONFIG SET``, or ``DEBUG DIGEST``
    where only that first argument is allowed; by its own permissions or by one of its selectors.
    """

    name: str
    enabled: bool
    nopass: bool
    passwords: tuple[str, ...]
    may: frozenset[str]
    allows_any: bool

    @property
    def open(self) -> bool:
        """True where a caller becomes this user without a password."""
        return self.enabled and self.nopass


def parse_acl(lines: Iterable[str]) -> dict[str, AclUser]:
    """Read the lines of ACL LIST, by the user's name. What is no user is left out."""
    users = (_user(line.split()) for line in lines if line.startswith("user ") and len(line.split()) > 1)
    return {user.name: user for user in users}


def _user(words: Sequence[str]) -> AclUser:
    own, *selectors = _selectors(words[2:])
    permissions = [_permitted(rules) for rules in (own, *selectors)]
    return AclUser(
        words[1],
        "on" in own and "off" not in own,
        "nopass" in own,
        tuple(word for word in own if word.startswith("#")),
        frozenset().union(*permissions),
        any(_allows_any(rules) for rules in (own, *selectors)),
    )


def _selectors(words: Sequence[str]) -> list[list[str]]:
    """Return the user's own rules and those of each selector, which stand in parentheses."""
    parts: list[list[str]] = [[]]
    inside = False
    for word in words:
        if not inside and word.startswith("("):
            inside = True
            parts.append([])
            word = word[1:]
        ends = inside and word.endswith(")")
        (parts[-1] if inside else parts[0]).append(word[:-1] if ends else word)
        inside = inside and not ends
    return parts


def _permitted(rules: Iterable[str]) -> frozenset[str]:
    """Apply the command rules from left to right, as Redis does."""
    whole: set[str] = set()
    first_arguments: set[str] = set()
    for sign, name in _command_rules(rules):
        named = set(_named(name))
        if sign == "+":
            whole |= named
            # Of a command without subcommands a first argument can be allowed, and not be forbidden.
            first_arguments |= {name} if name.partition("|")[0] in CATEGORIES and "|" in name and not named else set()
        else:
            whole -= named
        first_arguments -= {each for each in first_arguments if each.partition("|")[0] in named}
    shown = whole | {each for each in first_arguments if each.partition("|")[0] not in whole}
    return frozenset(each.replace("|", " ").upper() for each in shown)


def _command_rules(rules: Iterable[str]) -> Iterator[tuple[str, str]]:
    for word in rules:
        each = {"allcommands": "+@all", "nocommands": "-@all"}.get(word.lower(), word.lower())
        if each[:1] in ("+", "-"):
            yield each[0], each[1:]


def _named(name: str) -> Iterable[str]:
    """Return which of the judged commands a rule's name means."""
    if name == "@all":
        return CATEGORIES
    if name.startswith("@"):
        return [each for each, categories in CATEGORIES.items() if name[1:] in categories]
    return _WHOLE.get(name, (name,) if name in CATEGORIES else ())


def _allows_any(rules: Iterable[str]) -> bool:
    """True where anything at all is allowed: some rule allows, and not everything is taken back after it."""
    allowing = False
    for sign, name in _command_rules(rules):
        allowing = sign == "+" or (allowing and name != "@all")
    return allowing
