"""``python -m provisioning.setup``: bring engine and images up, saying what was done; idempotent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import docker.errors
import requests

from provisioning import docker_install
from provisioning.errors import GauntletError
from provisioning.images import DEFAULT_SERVER_IMAGE, host_image, server_image


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set-up; return the exit status: 0, 1 with one message on standard error, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m provisioning.setup", description=__doc__)
    parser.add_argument("--server-image", metavar="IMAGE", help=f"the image to test (default: {DEFAULT_SERVER_IMAGE})")
    parser.add_argument("--pull", action="store_true", help="ask the registry even where a built image would do")
    options = parser.parse_args(arguments)
    try:
        set_up(options.server_image, ask_registry=options.pull)
    except GauntletError as error:
        print(error, file=sys.stderr)
        return 1
    except (docker.errors.DockerException, requests.RequestException) as error:
        print(f"the Docker engine refused or stopped answering\n  observed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def set_up(requested: str | None, *, ask_registry: bool) -> None:
    """Bring up the engine, the server image and the host image, and print a line of each."""
    engine = docker_install.ensure(report)
    report(f"engine   {engine}")
    report(f"server   {server_image(engine, requested, report, ask_registry=ask_registry)}")
    report(f"host     {host_image(engine, report)}")


def report(line: str) -> None:
    """Print one line of progress at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
