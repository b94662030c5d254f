"""A Redis server with TLS in a container, with certificates of its own, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.session import Session
from provisioning.errors import NodeUnreachable
from provisioning.hosts.simulated import File, SimulatedHost
from provisioning.inventory import Tls
from provisioning.ownership import CLUSTER_LABEL, objects, remove
from provisioning.playground import PREFIX
from provisioning.reach import publishing_addresses
from provisioning.resp import Connection, Refused
from provisioning.waiting import wait_until

PLAIN_PORT, TLS_PORT = 6379, 6390
PASSWORD = "tls-s3cret"
FOLDER = "/tls"
START_SECONDS = 20.0

CONFIGURATION = f"""\
port {PLAIN_PORT}
tls-port {TLS_PORT}
tls-cert-file {FOLDER}/server.pem
tls-key-file {FOLDER}/server.key
tls-ca-cert-file {FOLDER}/ca.pem
tls-auth-clients no
requirepass {PASSWORD}
save ""
"""

NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


@dataclass(frozen=True)
class TlsServer:
    """Where it is dialled, with and without TLS, and the folder with its files on this machine.

    ``ca.pem`` signed ``server.pem`` (without a name of the server), ``named.pem`` (the same with the
    address that is dialled) and ``client.pem``; ``server.key`` and ``client.key`` are theirs,
    ``locked.key`` is the latter with a passphrase. ``other.pem`` is another CA.
    """

    address: tuple[str, int]
    plain_address: tuple[str, int]
    folder: Path

    def file(self, name: str) -> str:
        """Return the path of one of these files."""
        return str(self.folder / name)

    def configure(self, name: str, value: str) -> None:
        """Change a setting of the running server."""
        with Connection(self.plain_address, password=PASSWORD) as link:
            assert link.call("CONFIG", "SET", name, value) == "OK"


@contextmanager
def serving_tls(gauntlet: Session, folder: Path) -> Iterator[TlsServer]:
    """Make certificates with openssl on a simulated host, start the server with them; both are gone afterwards."""
    api: Any = gauntlet.engine.client.api
    name = f"{PREFIX}{gauntlet.run.id}-{gauntlet.worker}-tls"
    labels = gauntlet.run.labels(name)
    bound, dialled = publishing_addresses(gauntlet.engine)
    try:
        api.create_container(
            gauntlet.images.host,
            name=f"{name}-openssl",
            command=["sleep", "infinity"],
            labels=labels,
            host_config=api.create_host_config(init=True),
        )
        maker = SimulatedHost(gauntlet.engine, f"{name}-openssl")
        maker.start()
        maker.sure("sh", "-c", _script(dialled))
        made = {each: maker.read(f"{FOLDER}/{each}") for each in maker.sure("ls", FOLDER).split()}
        for each, text in made.items():
            (folder / each).write_text(text, encoding="ascii")
        api.create_container(
            gauntlet.images.server.reference,
            name=name,
            command=[f"{gauntlet.images.server.server}-server", f"{FOLDER}/redis.conf"],
            labels=labels,
            ports=[PLAIN_PORT, TLS_PORT],
            host_config=api.create_host_config(port_bindings={PLAIN_PORT: (bound,), TLS_PORT: (bound,)}),
        )
        server = SimulatedHost(gauntlet.engine, name)
        server.put(File(f"{FOLDER}/{each}", text) for each, text in (made | {"redis.conf": CONFIGURATION}).items())
        server.start()
        published = api.inspect_container(name)["NetworkSettings"]["Ports"]
        at = {port: (dialled, int(published[f"{port}/tcp"][0]["HostPort"])) for port in (PLAIN_PORT, TLS_PORT)}
        serving = TlsServer(at[TLS_PORT], at[PLAIN_PORT], folder)
        wait_until(lambda: _answers(serving), "a server with TLS", START_SECONDS, shown=server.log, poll=0.1)
        yield serving
    finally:
        remove(gauntlet.engine, objects(gauntlet.engine, {CLUSTER_LABEL: name}))


def _script(dialled: str) -> str:
    """Return what makes the certificates."""
    name = f"subjectAltName={'IP' if dialled.replace('.', '').isdigit() else 'DNS'}:{dialled}"
    signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 2"
    return f"""\
set -e
mkdir {FOLDER}
cd {FOLDER}
for ca in ca other
do openssl req -x509 {NEW_KEY} -keyout $ca.key -out $ca.pem -days 2 -subj /CN=$ca
done
for name in server client
do openssl req {NEW_KEY} -keyout $name.key -out $name.csr -subj /CN=$name
done
openssl req -new -key server.key -out named.csr -subj /CN=named -addext {name}
for name in server client named
do openssl x509 -req -in $name.csr {signed} -out $name.pem
done
openssl pkey -in client.key -aes256 -passout pass:x -out locked.key
"""


def _answers(server: TlsServer) -> bool:
    try:
        with Connection(server.address, password=PASSWORD, tls=Tls(server.file("ca.pem"))) as link:
            return bool(link.call("PING") == "PONG")
    except (NodeUnreachable, Refused):
        return False
