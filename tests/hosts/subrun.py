"""A run of the suite, or of its command line, as a process of its own with a state directory of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provisioning.docker_engine import Engine
from provisioning.ownership import MARK, OWNER_LABEL
from provisioning.waiting import wait_until
from tests.launched import LAUNCHER, ROOT, SECONDS


class Subrun:
    """``pytest ARGUMENTS`` (or ``python -m MODULE ...``) in a process group of its own; ended with the block.

    ``environment`` has further variables. Runs with the same ``state`` are runs of one user; all
    objects that they make can be counted.
    """

    def __init__(
        self, state: Path, *arguments: str, module: str = "pytest", environment: Mapping[str, str] | None = None
    ) -> None:
        self.state = state
        state.mkdir(exist_ok=True)
        self.log = state / f"output-{len(list(state.glob('output-*')))}"
        start = LAUNCHER if module == "pytest" else ("-m", module)
        extra = ("--report", str(state / "report"), "-p", "no:cacheprovider") if module == "pytest" else ()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *start, *arguments, *extra],
                cwd=ROOT,
                env={**inherited, **(environment or {}), "REDIS_GAUNTLET_STATE": str(state)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # in the background it is ignored
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.signal_group(signal.SIGKILL)
        self.process.wait()

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_exit(self) -> int:
        """Wait for the end and return the exit code. Raises WaitTimeout showing the output."""
        wait_until(
            lambda: self.process.poll() is not None, "the run ends", SECONDS, shown=lambda: self.output, poll=0.1
        )
        return int(self.process.returncode)

    def wait_for(self, happened: Callable[[], object], what: str) -> None:
        """Wait until something happened in the run, which must not end before."""

        def look() -> bool:
            if happened():
                return True
            assert self.process.poll() is None, f"the run ended before {what}:\n{self.output}"
            return False

        wait_until(look, what, SECONDS, shown=lambda: self.output)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the run and all its workers, as a terminal does."""
        os.killpg(self.process.pid, number)


def count(engine: Engine, state: Path) -> Mapping[str, int]:
    """Return how many objects of that state directory's owner there are, by kind and container state."""
    api: Any = engine.client.api
    file = state / "owner"
    if not file.exists():
        return Counter()
    filters = {"label": [MARK, f"{OWNER_LABEL}={file.read_text(encoding='ascii')}"]}
    found = Counter(str(each["State"]) for each in api.containers(all=True, filters=filters))
    found["network"] = len(api.networks(filters=filters))
    found["volume"] = len(api.volumes(filters=filters)["Volumes"] or [])
    return found


def left(engine: Engine, state: Path) -> int:
    """Return the number of all objects of that owner."""
    return sum(count(engine, state).values())
