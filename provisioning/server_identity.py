"""What a server image holds: asked once of the image itself, then remembered by image id."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass

import docker.errors
import requests
from docker.models.containers import Container

from provisioning.docker_engine import Engine
from provisioning.errors import ImageError
from provisioning.ownership import Run
from provisioning.state import state_dir

PROBE_SECONDS = 30

PROBE = """
for server in valkey redis; do
    if command -v $server-server >/dev/null; then
        echo "server=$server $($server-server --version)"
        break
    fi
done
own=$(id -u)
for user in "$own" valkey redis; do
    if [ "$user" != 0 ] && uid=$(id -u "$user" 2>/dev/null); then
        echo "uid=$uid gid=$(id -g "$user")"
        break
    fi
done
"""


@dataclass(frozen=True)
class ServerIdentity:
    """The server in an image: ``redis`` or ``valkey``, its exact version, and the user that it runs as."""

    server: str
    version: str
    uid: int
    gid: int


def identify(engine: Engine, reference: str, image_id: str) -> ServerIdentity:
    """Return what the image holds; the first time a container of it is asked, which is then removed.

    Raises ImageError if there is no server in it, or it does not run.
    """
    remembered = state_dir() / "images" / f"{image_id.removeprefix('sha256:')}.json"
    with suppress(OSError, ValueError, TypeError):
        return ServerIdentity(**json.loads(remembered.read_text()))
    identity = parse_identity(reference, _ask(engine, reference, image_id))
    remembered.parent.mkdir(exist_ok=True)
    unfinished = remembered.with_suffix(".new")
    unfinished.write_text(json.dumps(asdict(identity)) + "\n")
    unfinished.replace(remembered)
    return identity


def parse_identity(reference: str, said: str) -> ServerIdentity:
    """Read what the probe printed. Raises ImageError if no server is in it."""
    server = re.search(r"^server=(\w+) .*\bv=(\S+)", said, re.MULTILINE)
    user = re.search(r"^uid=(\d+) gid=(\d+)", said, re.MULTILINE)
    if not server:
        raise ImageError(
            f"the image {reference} holds no server",
            expected="redis-server or valkey-server on PATH, which says its version, and sh and id",
            observed=" ".join(said.split())[:300] or "neither",
            advice="choose another --server-image",
        )
    return ServerIdentity(server[1], server[2], int(user[1]) if user else 0, int(user[2]) if user else 0)


def _ask(engine: Engine, reference: str, image_id: str) -> str:
    container: Container | None = None
    run = Run.begin()  # so that the container is reaped if this process is killed
    try:
        container = engine.client.containers.create(
            image_id,
            entrypoint=["sh", "-c", PROBE],
            command=[],
            labels=run.labels("server-identity"),
            network_disabled=True,
        )
        container.start()
        container.wait(timeout=PROBE_SECONDS)
        return container.logs().decode(errors="replace")
    except (docker.errors.APIError, requests.RequestException) as error:
        raise ImageError(
            f"the image {reference} does not run",
            expected="a container of it starts and says the server's version",
            observed=" ".join(str(getattr(error, "explanation", None) or error).split())[:300],
            advice="see that it is made for this engine's architecture and holds sh",
        ) from None
    finally:
        if container is not None:
            with suppress(docker.errors.NotFound):
                container.remove(force=True, v=True)
        run.leave()
