"""Every plant there is, one file for each family of rules."""

from __future__ import annotations

import importlib
import pkgutil

from tests.planted.plant import PLANTS, Plant


def all_plants() -> tuple[Plant, ...]:
    """Return every plant, by file and in each in the order of definition."""
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        importlib.import_module(module.name)
    return tuple(PLANTS.values())
