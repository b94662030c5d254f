"""``host_name``: each host of the target's inventory in turn."""

from __future__ import annotations

import pytest

from fixtures.options import TARGET


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "host_name" in metafunc.fixturenames:
        metafunc.parametrize("host_name", [host.name for host in metafunc.config.stash[TARGET].layout.hosts])
