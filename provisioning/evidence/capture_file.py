"""A capture as a file: evidence as JSON, without any password that is known, for its owner only."""

from __future__ import annotations

import json
import os
from pathlib import Path

from provisioning.errors import GauntletError
from provisioning.evidence.capture import Evidence
from provisioning.login import PASSWORD_VARIABLE
from provisioning.masking import masked, secrets_of


def write_capture(evidence: Evidence, file: Path) -> None:
    """Write the evidence; a file of that name is replaced once the new one is complete. Raises GauntletError."""
    secrets = secrets_of(evidence.wanted) if evidence.wanted is not None else frozenset()
    text = masked(json.dumps(evidence.to_dict(), ensure_ascii=False, indent=1), secrets | _of_environment())
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


def _of_environment() -> frozenset[str]:
    return frozenset({os.environ.get(PASSWORD_VARIABLE, "")} - {""})
