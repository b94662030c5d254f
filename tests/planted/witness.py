"""Witness: who is called while a plant is there, for scripts that need every plant once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provisioning.cluster import Cluster
from tests.planted.plant import Plant

Witness = Callable[[Plant, Cluster], None]
"""Called with the plant and its cluster once the gate has found it, before anything is repaired."""

WITNESSES = pytest.StashKey[list[Witness]]()
"""On the config; filled by a plugin."""
