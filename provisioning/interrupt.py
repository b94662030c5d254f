"""SIGTERM as an interruption that cleans up, like Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect: 128 + SIGINT."""


class Terminated(KeyboardInterrupt):
    """SIGTERM was received: everything is cleaned up on the way out."""


def terminate_like_interrupt() -> None:
    """Make SIGTERM raise Terminated in the main thread, so that every ``finally`` runs."""

    def raise_terminated(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough; cleaning up takes seconds
        raise Terminated("SIGTERM")

    signal.signal(signal.SIGTERM, raise_terminated)
