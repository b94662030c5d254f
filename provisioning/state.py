"""Where this project keeps what outlives a run: locks, logs, what is known of an image."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning.errors import GauntletError


def state_dir() -> Path:
    """Return the state directory, made with mode 0700 if it is missing.

    ``$REDIS_GAUNTLET_STATE``, else ``$XDG_STATE_HOME/redis-gauntlet``, else ``~/.local/state/redis-gauntlet``.
    Raises GauntletError where it cannot be made.
    """
    try:
        if own := os.environ.get("REDIS_GAUNTLET_STATE"):
            path = Path(own).absolute()
        else:
            base = os.environ.get("XDG_STATE_HOME", "")
            path = (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state") / "redis-gauntlet"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise GauntletError(
            "the state directory cannot be made",
            expected="a directory of the user's own for locks and logs",
            observed=str(error),
            advice="set REDIS_GAUNTLET_STATE to a directory that can be written",
        ) from None
    return path


@contextmanager
def held(name: str, waiting: Callable[[], None] | None = None, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock ``name`` of this user for the length of the block; wait for whoever has it.

    ``waiting`` is called once if there is a wait. Those who want it ``shared`` have it at the same time as each
    other. The kernel frees the lock of a process that dies.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with (state_dir() / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(file, kind)
        yield
