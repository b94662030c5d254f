"""The survival of hosts, as the tests of placement use and report it."""

from __future__ import annotations

from typing import Any

from fixtures.report.document import NOT_TRIED
from fixtures.rules.survival import Survival, predict_host_loss
from provisioning.cluster import Cluster

FATAL = "was fatal"


def survival_row(cluster: Cluster, survival: Survival, tried: str = NOT_TRIED) -> dict[str, Any]:
    """Return one row of the survival table of the report."""
    return {
        "layout": cluster.inventory.name,
        "host": survival.host,
        "masters_left": survival.masters_left,
        "masters_needed": survival.masters_needed,
        "shards_lost": list(survival.shards_lost),
        "survives": survival.survives,
        "reasons": list(survival.reasons),
        "repair": survival.repair,
        "tried": tried,
        "simulated_for_this": tried == FATAL,
    }


def prediction_for(cluster: Cluster, host: str) -> Survival:
    """Return what is predicted for the loss of that host, from one look at the cluster as it is now."""
    return next(each for each in predict_host_loss(cluster.look()) if each.host == host)
