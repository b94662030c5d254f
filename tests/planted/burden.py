"""Burden: processes of our own that keep the machine, or the cluster, busy while a block lasts.

One burden at a time on a machine: who comes second waits. Three beside each other made a load of 37 on two
processors, at which a host may truly give no answer in time. Who measures how long something takes asks for quiet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.resp import Connection
from provisioning.slots import key_in_slot, key_slot
from provisioning.state import held

ROOT = Path(__file__).parents[2]

LONGEST_SECONDS = 600.0
"""After this time a process ends by itself, should nobody be left to end it."""

LOCK = "burden"
"""Whoever holds it burdens the machine; those who share it want nobody to."""

KEYS = 20_000
BATCH = 200
"""Keys of one master, and how many of them are written at a time."""


def fill(cluster: Cluster, count: int = 6000) -> None:
    """Write so many keys all over the slots, and wait until the replicas have them."""
    owners = {slot: node for node in cluster.inventory.masters for each in node.slots for slot in each}
    commands: dict[Node, list[tuple[str, str, str]]] = {node: [] for node in cluster.inventory.masters}
    for n in range(count):
        commands[owners[key_slot(f"burden:{n}")]].append(("SET", f"burden:{n}", f"value {n}"))
    for node, theirs in commands.items():
        with cluster.connection(node) as link:
            link.calls(theirs)
    cluster.wait_ready(cluster.rejoin_budget)


@contextmanager
def quiet() -> Iterator[None]:
    """Have no burden on the machine while the block lasts: with one, a look took 7 s that takes half a second."""
    with held(LOCK, shared=True):
        yield


@contextmanager
def burning(processes: int = 2 * (os.cpu_count() or 1)) -> Iterator[None]:
    """Keep every processor busy, twice over."""
    with held(LOCK), ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(_running("burn"))
        yield


@contextmanager
def writing(cluster: Cluster, value_size: int = 100) -> Iterator[None]:
    """Write to every master as fast as it and a replica acknowledge; values have ``value_size`` bytes.

    What a machine that other tests keep busy too lets a replica take may be less than what its master takes. Faster
    than the replica, the cluster would truly lag.
    """
    masters = cluster.inventory.masters
    with held(LOCK), ExitStack() as stack:
        writers = [
            stack.enter_context(
                _running(
                    "write",
                    address=node.outside,
                    password=node.password,
                    key=key_in_slot(node.slots[0].first, "burden:"),
                    size=value_size,
                )
            )
            for node in masters
        ]
        cluster.wait_for(
            lambda: all(int(cluster.call(node, "DBSIZE")) >= BATCH for node in masters),
            "the first keys on every master",
            LONGEST_SECONDS / 10,
        )
        yield
        assert [each.poll() for each in writers] == [None] * len(writers), "a writer ended too early"


@contextmanager
def _running(what: str, **order: Any) -> Iterator[subprocess.Popen[str]]:
    """One process that works until the block ends; its order, with the password, goes to it by standard input."""
    command = [sys.executable, "-m", "tests.planted.burden", what]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        yield process
    finally:
        process.kill()
        process.wait()


def burn() -> None:
    """Do nothing, as fast as possible."""
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        pass


def write(address: list[Any], password: str, key: str, size: int) -> None:
    """Write KEYS keys of one slot again and again, each batch once a replica has the last one (WAIT)."""
    until = time.monotonic() + LONGEST_SECONDS
    with Connection((address[0], address[1]), password=password, deadline=LONGEST_SECONDS) as link:
        while time.monotonic() < until:
            for first in range(0, KEYS, BATCH):
                batch = [("SET", f"{key}:{n}", "x" * size) for n in range(first, first + BATCH)]
                link.calls([*batch, ("WAIT", "1", "0")])


if __name__ == "__main__":
    order = json.load(sys.stdin)
    write(**order) if sys.argv[1] == "write" else burn()
