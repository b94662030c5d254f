"""Render the configuration file of a node: one template for the simulation and for real hosts."""

from __future__ import annotations

import functools
from pathlib import Path

import jinja2

from provisioning.inventory import Inventory, Node

TEMPLATES = Path(__file__).with_name("templates")

SINCE = {"cluster-port": (7, 0)}
"""First server version that knows a directive; an older one would refuse to start."""


def render_redis_conf(inventory: Inventory, node: Node, version: str, data_dir: str = "/data") -> str:
    """Return the text of the node's configuration file for a server of that version.

    ``data_dir`` is where the server itself sees its data (inside its container).
    """
    known = tuple(int(part) for part in version.split(".")[:2])
    return _template().render(
        inventory=inventory, node=node, data_dir=data_dir, knows=lambda name: known >= SINCE[name]
    )


@functools.cache
def _template() -> jinja2.Template:
    """Return the template, compiled once: a look at a cluster renders it for every node."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        keep_trailing_newline=True,
    )
    return environment.get_template("redis-node.conf.j2")
