"""A capture as a file: evidence as JSON, without any password that is known, for its owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from provisioning.errors import GauntletError
from provisioning.evidence.capture import Evidence
from provisioning.masking import masked_values, secrets_of, secrets_of_environment

NAMES = ("name", "address", "host")
"""What nodes and hosts go by, in keys too: a password may be part of it by chance, and does not come from there."""


def write_capture(evidence: Evidence, file: Path) -> None:
    """Write the evidence; a file of that name is replaced once the new one is complete. Raises GauntletError."""
    text = json.dumps(_shown(evidence), ensure_ascii=False, indent=1)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            out.write(text + "\n")
        temporary.replace(file)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise GauntletError(
            f"the capture cannot be written to {file}",
            observed=problem.strerror or str(problem),
            advice="name another file",
        ) from None


def _shown(evidence: Evidence) -> dict[str, Any]:
    """Return the evidence as JSON values, masked but for the inventory, which is written without passwords."""
    secrets = secrets_of_environment() | (secrets_of(evidence.wanted) if evidence.wanted is not None else frozenset())
    values = evidence.to_dict()
    names = [{key: each[key] for key in NAMES if key in each} for each in (*values["nodes"], *values["hosts"])]
    shown = {**masked_values(values, secrets), "wanted": values["wanted"]}
    for each, own in zip((*shown["nodes"], *shown["hosts"]), names, strict=True):
        each.update(own)
    return shown
