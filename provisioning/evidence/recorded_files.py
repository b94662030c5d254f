"""Recorded files: which ones are meant, and their text. Every problem of the file system is one CaptureError."""

from __future__ import annotations

import codecs
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from provisioning.evidence.capture import CaptureError

MOST_BYTES = 512 * 1024 * 1024
"""A complete capture of a thousand nodes comes close to it; what is larger was not meant."""

EXPECTED = "CLUSTER NODES output, a nodes.conf, or a capture, as a file or as a folder of such files"

T = TypeVar("T")


def recorded_files(paths: Sequence[Path], say: Callable[[str], None]) -> list[Path]:
    """Return the files in the order of the paths, each once."""
    found: dict[Path, Path] = {}
    for path in paths:
        mode = _asked(path, lambda path: path.stat().st_mode)
        inside = _inside(path, say) if stat.S_ISDIR(mode) else [path]
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise CaptureError(
                f"{printable(path)} is neither a file nor a folder",
                expected=EXPECTED,
                observed="a pipe, a device or a socket",
                advice="write what comes out of it into a file and name that",
            )
        for each in inside:
            if each.resolve() in found:
                say(f"recording  {printable(each)} is there twice and read once")
            found.setdefault(each.resolve(), each)
    if not found:
        raise CaptureError("no recording was named", expected=EXPECTED)
    return list(found.values())


def _inside(folder: Path, say: Callable[[str], None]) -> list[Path]:
    """Return the folder's own files, sorted by name."""
    everything = _asked(folder, lambda folder: sorted(folder.iterdir()))
    files = _asked(folder, lambda _: [path for path in everything if path.is_file() and not path.name.startswith(".")])
    if not files:
        raise CaptureError(
            f"{printable(folder)} has no recording in it",
            expected=EXPECTED,
            observed="only " + ", ".join(map(_kind, everything)) if everything else "an empty folder",
            advice="name the files, or the folder that they are in",
        )
    for path in everything:
        if path not in files:
            say(f"recording  {printable(folder.name)}: left out {_kind(path)}")
    return files


def _kind(path: Path) -> str:
    if path.name.startswith("."):
        return f"{printable(path.name)} (hidden)"
    return f"{printable(path.name)} ({'a folder' if path.is_dir() else 'no file'})"


def recorded_text(path: Path) -> str:
    """Return the text, whatever its bytes: UTF-8, or what a byte order mark says (a Windows shell writes UTF-16)."""
    content = _content(path)
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")


def printable(path: Path | str) -> str:
    """Return a path as it can be printed: file names may hold anything."""
    return "".join(each if each.isprintable() else "?" for each in str(path))


def _content(path: Path) -> bytes:
    size = _asked(path, lambda path: path.stat().st_size)
    if size > MOST_BYTES:
        raise CaptureError(
            f"{printable(path)} is too large for a recording",
            expected=f"{EXPECTED}; at most {MOST_BYTES >> 20} MiB",
            observed=f"{size >> 20} MiB",
        )
    content = _asked(path, Path.read_bytes)
    if not content.strip():
        raise CaptureError(
            f"{printable(path)} is empty",
            expected=EXPECTED,
            observed=f"{len(content)} bytes" + (" of white space" if content else ""),
            advice="record it again: an empty file is often a command that failed",
        )
    return content


def _asked(path: Path, ask: Callable[[Path], T]) -> T:
    """Return what was asked of the file system."""
    try:
        return ask(path)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        why = (problem.strerror if isinstance(problem, OSError) else "") or str(problem)
        raise CaptureError(
            f"{printable(path)} cannot be read",
            expected=EXPECTED,
            observed=why,
            advice="correct the path, or the rights to it",
        ) from None
