"""Progress in the terminal: one thought a line, folded at 80 columns."""

from __future__ import annotations

import sys
import textwrap
from contextlib import suppress
from pathlib import Path

WIDTH = 80
LABEL = 11
"""Columns of the word in front, such as ``server`` or ``networks``; what is folded goes on below the text."""


def runnable(text: str) -> str:
    """Return the text with commands of ours as they can be pasted: with the Python that is running."""
    python = Path(sys.executable)
    with suppress(ValueError):
        python = python.relative_to(Path.cwd())
    return text.replace("python -m provisioning", f"{python} -m provisioning").replace(
        "`pytest ", f"`{python.with_name('pytest')} "
    )


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(folded(text), flush=True)


def folded(text: str) -> str:
    """Return the text in lines of at most 80 columns; paths and addresses are not broken."""
    return textwrap.fill(
        runnable(text), WIDTH, subsequent_indent=" " * LABEL, break_long_words=False, break_on_hyphens=False
    )
