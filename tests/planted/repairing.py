"""Run a repair as it stands in a finding, line by line, and believe no silence."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable

from fixtures.rules.finding import Finding
from provisioning.cluster import Cluster
from provisioning.faults.process import SIGKILL_EXIT
from provisioning.hosts.simulated import Exit
from provisioning.inventory import Node

LINE_SECONDS = 300
"""What one command of a repair may take: thousands of slots are moved in half a minute on an idle machine."""

CLIENT = "command -v redis-cli >/dev/null || alias redis-cli=valkey-cli\n"
"""Valkey's image has the same program under its own name."""

REFUSED = re.compile(
    r"^(?:\S+:\d+: )?(?:\(error\) )?(?:ERR|NOAUTH|WRONGPASS|NOPERM|MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|READONLY|"
    r"MISCONF|NOREPLICAS|OOM|BUSY|BUSYGROUP|EXECABORT|MASTERDOWN|UNKILLABLE|AUTH failed:|Could not connect|\[ERR\]) ",
    re.MULTILINE,
)
"""What redis-cli prints for an error answer; its exit code is 0 for many of them."""


class RepairFailed(AssertionError):
    """A line of a repair is no command, or the command was refused."""


def lines_of(findings: Iterable[Finding]) -> list[str]:
    """Return every line of what these findings say is to be done, once."""
    return list(dict.fromkeys(line for finding in findings for line in finding.repair.splitlines()))


def repair(cluster: Cluster, findings: Iterable[Finding]) -> list[str]:
    """Run what these findings say, every line as it stands and once; return the lines.

    Lines that begin with redis-cli are run on a node's machine with the password in REDISCLI_AUTH, all
    others on this one. Raises RepairFailed.
    """
    lines = lines_of(findings)
    for line in lines:
        ended = _on_a_node(cluster, line) if line.startswith("redis-cli ") else _here(cluster, line)
        if ended.code or REFUSED.search(ended.output):
            raise RepairFailed(f"$ {line}\nended with {ended.code}:\n{ended.output.strip()}")
    return lines


def inside(cluster: Cluster, node: Node, command: str, seconds: float = LINE_SECONDS) -> Exit:
    """Run a shell command in the node's container, logged in; cut off after that time (exit code 137)."""
    login = {f"{name}CLI_AUTH": node.password for name in ("REDIS", "VALKEY")}
    words = ("timeout", "-s", "KILL", str(seconds), "sh", "-c", CLIENT + command)
    return cluster.simulated.nodes[node.full_name].run(*words, environment=login)


def _on_a_node(cluster: Cluster, line: str) -> Exit:
    """Run it where an operator would: on a machine of the LAN, in a container that runs."""
    nodes = cluster.simulated.nodes
    runs = [node for node in reversed(cluster.inventory.nodes) if nodes[node.full_name].running]
    elsewhere = [node for node in runs if f"-h {node.lan} " not in line]
    return inside(cluster, next(iter(elsewhere or runs)), line)


def _here(cluster: Cluster, line: str) -> Exit:
    try:
        ended = subprocess.run(
            ["sh", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LINE_SECONDS,
            check=False,
            env={**os.environ, "REDISCLI_AUTH": cluster.inventory.nodes[0].password},
        )
    except subprocess.TimeoutExpired as late:
        return Exit(SIGKILL_EXIT, f"no end within {late.timeout:.0f} s")
    return Exit(ended.returncode, ended.stdout + ended.stderr)
