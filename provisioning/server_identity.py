"""What a server image says of itself: which server it holds, and the user that this runs as."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioning.errors import ImageError

PROBE = """\
for server in valkey redis; do
    if command -v $server-server >/dev/null; then
        echo "server=$server $($server-server --version)"
        break
    fi
done
if [ "$(id -u)" != 0 ]; then
    echo "uid=$(id -u) gid=$(id -g)"
    exit
fi
for user in valkey redis; do
    if uid=$(id -u "$user" 2>/dev/null); then
        echo "uid=$uid gid=$(id -g "$user")"
        break
    fi
done
"""
"""What a shell in a container of the image is to run, by its own user; ``parse_identity`` reads what it prints."""


@dataclass(frozen=True)
class ServerIdentity:
    """The server in an image: ``redis`` or ``valkey``, its exact version, and the user that it runs as."""

    server: str
    version: str
    uid: int
    gid: int


def parse_identity(reference: str, said: str) -> ServerIdentity:
    """Read what the probe printed. Raises ImageError if no server is in it."""
    server = re.search(r"^server=(\w+) .*\bv=(\S+)", said, re.MULTILINE)
    user = re.search(r"^uid=(\d+) gid=(\d+)", said, re.MULTILINE)
    if not server:
        raise ImageError(
            f"the image {reference} holds no server",
            expected="redis-server or valkey-server on PATH, which says its version, and sh and id",
            observed=" ".join(said.split())[:300] or "neither",
            advice="choose another image",
        )
    return ServerIdentity(server[1], server[2], int(user[1]) if user else 0, int(user[2]) if user else 0)
