"""With TLS a node is whom its CA vouches for; anybody else, and any port without TLS, is one clear reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fixtures.session import Session
from provisioning.ansible_inventory import read_inventory
from provisioning.errors import NodeUnreachable
from provisioning.inventory import Tls
from provisioning.login import PASSWORD_VARIABLE, TLS_FILE_VARIABLES, TLS_VARIABLE, login_from_environment
from provisioning.resp import Connection
from provisioning.tls import TlsError, tls_context
from provisioning.written_inventory import write_inventory
from tests.access.tls_server import FOLDER, PASSWORD, TlsServer, serving_tls

pytestmark = pytest.mark.destructive


@pytest.fixture(scope="module")
def server(gauntlet: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with serving_tls(gauntlet, tmp_path_factory.mktemp("tls")) as serving:
        yield serving


def said(server: TlsServer, tls: Tls | None, address: tuple[str, int] | None = None) -> str:
    """Return the answer to a PING, or the one line that says why there is none."""
    with Connection(address or server.address, password=PASSWORD, tls=tls, deadline=1.0) as link:
        try:
            return str(link.call("PING"))
        except NodeUnreachable as problem:
            why, shown = problem.observed, str(problem)
    assert PASSWORD not in shown
    assert "\n" not in why
    return why


def test_the_right_ca_lets_in(server: TlsServer) -> None:
    """Though the certificate has no name of the server in it: nodes are dialled at addresses."""
    assert said(server, Tls(server.file("ca.pem"))) == "PONG"


def test_a_wrong_ca_is_named(server: TlsServer) -> None:
    """The chain is verified, with the file that was to vouch for it in the message."""
    other = server.file("other.pem")
    assert said(server, Tls(other)).startswith(f"TLS: its certificate is not good for {other}: ")
    assert said(server, Tls()).startswith("TLS: its certificate is not good for the system's CAs: ")


def test_the_systems_cas_vouch_for_a_name(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """They vouch for everybody, so the certificate must be one for the address that is dialled."""
    monkeypatch.setenv("SSL_CERT_FILE", server.file("ca.pem"))
    assert "mismatch" in said(server, Tls())
    server.configure("tls-cert-file", f"{FOLDER}/named.pem")
    try:
        assert said(server, Tls()) == "PONG"
    finally:
        server.configure("tls-cert-file", f"{FOLDER}/server.pem")


def test_a_port_without_tls_is_named(server: TlsServer) -> None:
    """It may say nothing at all or something odd; either is no handshake."""
    assert said(server, Tls(server.file("ca.pem")), server.plain_address).startswith("TLS: no handshake")


def test_a_port_with_tls_is_no_answer_without(server: TlsServer) -> None:
    """Nor is it waited for longer than the deadline."""
    assert said(server, None) not in ("", "PONG")
    assert said(server, None, server.plain_address) == "PONG"


def test_a_client_certificate_is_shown_where_it_is_asked_for(server: TlsServer) -> None:
    """Without one, that is the reason."""
    server.configure("tls-auth-clients", "yes")
    try:
        ca = server.file("ca.pem")
        assert "client certificate" in said(server, Tls(ca))
        assert said(server, Tls(ca, server.file("client.pem"), server.file("client.key"))) == "PONG"
    finally:
        server.configure("tls-auth-clients", "no")


def test_files_that_do_not_fit_are_named(server: TlsServer) -> None:
    """A key of another certificate, and one with a passphrase: nobody is asked for it."""
    for key in ("server.key", "locked.key"):
        with pytest.raises(TlsError, match=key):
            tls_context(Tls(server.file("ca.pem"), server.file("client.pem"), server.file(key)))


def test_the_inventory_says_how(server: TlsServer, tmp_path: Path) -> None:
    """Files beside it, read and written again, lead to an answer."""
    hosts = {
        f"host-{n}": {"redis_address": f"10.0.0.{n}", "redis_nodes": [{"name": "m", "role": "master", "port": 7000}]}
        for n in (1, 2, 3)
    }
    hosts["host-1"]["redis_nodes"][0]["outside"] = "{}:{}".format(*server.address)  # type: ignore[index]
    shared = {f"redis_tls_{kind}_file": name for kind, name in (("ca", "ca.pem"), ("cert", "client.pem"))}
    shared |= {"redis_tls_key_file": "client.key", "redis_password": PASSWORD}
    file = server.folder / "hosts.yaml"
    file.write_text(yaml.safe_dump({"all": {"vars": shared, "hosts": hosts}}), encoding="utf-8")
    inventory = read_inventory(file)
    write_inventory(inventory, tmp_path / "written.yaml")
    for each in (inventory, read_inventory(tmp_path / "written.yaml")):
        with Connection.to(each.nodes[0], read_only=True) as link:
            assert link.call("PING") == "PONG"


def test_the_environment_says_how(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does where there is no inventory."""
    monkeypatch.delenv(TLS_VARIABLE, raising=False)
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    for name, file in zip(TLS_FILE_VARIABLES, ("ca.pem", "client.pem", "client.key"), strict=True):
        monkeypatch.setenv(name, server.file(file))
    login = login_from_environment()
    with Connection(server.address, user=login.user, password=login.password, tls=login.tls) as link:
        assert link.call("PING") == "PONG"
