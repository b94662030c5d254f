"""The text of an inventory as a YAML document: strict, and with what ansible-vault encrypted kept apart."""

from __future__ import annotations

import re
from typing import Any

import yaml

from provisioning.ansible_value import kind_of, refusal
from provisioning.vault import HEADER, Encrypted

INI_SECTION = re.compile(r"\A(?:[ \t]*(?:[#;].*)?\n)*\[[\w:.-]+\][ \t]*$", re.MULTILINE)
SECRET_NEAR = re.compile(r"pass|masterauth|redis_settings")
"""What a line has in it that may hold a password."""
QUOTED = re.compile(r"'.*'|\".*\"")
LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def load(text: str, source: str) -> dict[Any, Any]:
    """Return the mapping that is written in ``text``, encrypted values as Encrypted. Raises InventoryError."""
    if text.startswith("#!"):
        raise refusal(source, "executable inventories are not understood here: write YAML", text.splitlines()[0])
    if ini := INI_SECTION.search(text):
        raise refusal(source, "the INI format is not understood here: write YAML", ini[0].strip())
    try:
        document = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        # Beside YAMLError: what PyYAML lets through for values such as 2024-99-99 or `!!bool x`.
        raise refusal(source, "it is not YAML that is understood here", _told(problem, text)) from None
    if not isinstance(document, dict) or not document:
        raise refusal(source, "a mapping with the group `all` is expected", f"found {kind_of(document)}")
    return document


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that knows ``!vault``, and refuses a key given twice instead of keeping the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict, Encrypted)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is given twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def encrypted(self, node: yaml.Node) -> Encrypted:
        text = node.value.strip() if isinstance(node, yaml.ScalarNode) else ""
        if not text.startswith(HEADER):
            said = f"a !vault value begins with {HEADER}"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark)
        return Encrypted(f"{text}\n")


_StrictLoader.add_constructor("!vault", _StrictLoader.encrypted)
_StrictLoader.add_constructor("!vault-encrypted", _StrictLoader.encrypted)


def _told(problem: Exception, text: str) -> str:
    """Return what is wrong with the YAML, and in which line; never the line itself, which may hold a password."""
    mark = problem.problem_mark or problem.context_mark if isinstance(problem, yaml.MarkedYAMLError) else None
    if not isinstance(problem, yaml.MarkedYAMLError) or mark is None:
        return "a character, a date, a number or a tag that cannot be read"
    said = " ".join(f"{problem.context or ''} {problem.problem or ''}".split())
    before, line = ["", *LINE_BREAK.split(text), ""][mark.line : mark.line + 2]
    if SECRET_NEAR.search(line) or (before.rstrip().endswith(":") and SECRET_NEAR.search(before)):
        said = QUOTED.sub("(not shown)", said)
    return f"line {mark.line + 1}: {said}"
