"""Capture: write down what all nodes and hosts of a running cluster show, to be judged now or later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from provisioning import playground
from provisioning.ansible_inventory import read_inventory
from provisioning.discovery import Seed, discovered
from provisioning.docker_engine import connect
from provisioning.evidence import Evidence
from provisioning.evidence.collect import require_answers
from provisioning.evidence.hosts_look import look_everywhere
from provisioning.hosts.remote import RemoteHost
from provisioning.login import login_from_environment
from provisioning.simulation import Simulation


def look_from_seed(seed: Seed) -> Evidence:
    """Return what the cluster that is found from there shows to this process. Raises GauntletError."""
    inventory = discovered(seed, login_from_environment())
    return replace(look_everywhere(inventory, from_here=True), wanted=None)


def look_by_inventory(file: Path, *, host_access: bool = True) -> Evidence:
    """Return what the nodes of the inventory show and, where they may be entered, the hosts. Raises GauntletError."""
    inventory = read_inventory(file)
    simulation = Simulation.attached(connect(), inventory) if inventory.simulated else None
    require_answers(inventory)
    accesses = {} if simulation or not host_access else {host.name: RemoteHost(host) for host in inventory.hosts}
    return look_everywhere(inventory, simulation, accesses=accesses)


def look_at_playground(name: str) -> Evidence:
    """Return what the simulated cluster of that name shows. Raises GauntletError."""
    cluster = playground.found(connect(), name)
    return look_everywhere(cluster.inventory, cluster.simulation)
