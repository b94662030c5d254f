"""What nodes were asked, by their own count: which commands of a look reached them."""

from __future__ import annotations

from collections.abc import Mapping

from provisioning.cluster import Cluster
from provisioning.resp import READING, SUBCOMMANDS

SERVERS_OWN = frozenset({"AUTH", "CLIENT", "HELLO", "REPLCONF"})
"""What replication and client libraries send by themselves."""

PROBES = frozenset({"SET", "DEL"})
"""What probe keys are written and removed with; what else is sent of them only reads."""


def asked(cluster: Cluster) -> Mapping[str, int]:
    """Return how often each node was asked each command (``NODE cluster|nodes``), also where it refused."""
    found: dict[str, int] = {}
    for node in cluster.inventory.nodes:
        for line in str(cluster.call(node, "INFO", "commandstats")).splitlines():
            command, _, figures = line.removeprefix("cmdstat_").partition(":")
            values = dict(each.split("=") for each in figures.split(",") if "=" in each)
            calls = sum(int(values.get(each, 0)) for each in ("calls", "rejected_calls"))
            found[f"{node.full_name} {command}"] = calls
    return found


def changing(cluster: Cluster, before: Mapping[str, int]) -> set[str]:
    """Return the commands asked since then, of any node, that may change something."""
    grown = (each for each, count in asked(cluster).items() if count != before.get(each))
    return {command for command in (each.rpartition(" ")[2].upper() for each in grown) if _changes(command)}


def _changes(asked_for: str) -> bool:
    """True for a command that may change something; servers before 7.0 do not count CLUSTER's subcommands apart."""
    command, _, second = asked_for.partition("|")
    if command in SUBCOMMANDS:
        return bool(second) and second not in SUBCOMMANDS[command] and command not in SERVERS_OWN
    return command not in READING and command not in SERVERS_OWN
