"""How a command of this project ends: with an exit code and at most one message, never with a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import docker.errors
import requests

from provisioning.errors import GauntletError
from provisioning.interrupt import EXIT_INTERRUPTED, terminate_like_interrupt
from provisioning.progress import runnable


def guarded(act: Callable[[], int]) -> int:
    """Run a command and return its exit code: 1 with one message on stderr, 130 after Ctrl-C and SIGTERM."""
    terminate_like_interrupt()
    try:
        return act()
    except GauntletError as problem:
        print(runnable(f"error: {problem}"), file=sys.stderr)
    except (docker.errors.DockerException, requests.RequestException) as problem:
        print(f"error: the Docker engine refused or stopped answering\n  observed: {problem}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted: cleaned up", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; say no more
    return 1
