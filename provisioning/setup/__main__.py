"""``python -m provisioning.setup``: bring engine and images up, saying what was done; idempotent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from provisioning import docker_install
from provisioning.command import guarded
from provisioning.images import DEFAULT_SERVER_IMAGE, host_image, server_image
from provisioning.progress import say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set-up; return the exit status: 0, 1 with one message on standard error, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.setup", description=__doc__)
    parser.add_argument("--server-image", metavar="IMAGE", help=f"the image to test (default: {DEFAULT_SERVER_IMAGE})")
    parser.add_argument("--pull", action="store_true", help="ask the registry even where a built image would do")
    options = parser.parse_args(arguments)
    return guarded(lambda: set_up(options.server_image, ask_registry=options.pull))


def set_up(requested: str | None, *, ask_registry: bool) -> int:
    """Bring up the engine, the server image and the host image, and print a line of each."""
    engine = docker_install.ensure(say)
    say(f"engine   {engine}")
    say(f"server   {server_image(engine, requested, say, ask_registry=ask_registry)}")
    say(f"host     {host_image(engine, say)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
