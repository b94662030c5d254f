"""Progress in the terminal: one thought a line, folded at 80 columns."""

from __future__ import annotations

import textwrap

WIDTH = 80
LABEL = 11
"""Columns of the word in front, such as ``server`` or ``networks``; what is folded goes on below the text."""


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(folded(text), flush=True)


def folded(text: str) -> str:
    """Return the text in lines of at most 80 columns; paths and addresses are not broken."""
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * LABEL, break_long_words=False, break_on_hyphens=False)
