"""A login comes from the environment, shows no password, and TLS is verified or refused with one reason."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import certifi
import pytest

from provisioning.errors import GauntletError, NodeUnreachable
from provisioning.inventory import Tls
from provisioning.login import (
    PASSWORD_VARIABLE,
    TLS_FILE_VARIABLES,
    TLS_VARIABLE,
    USER_VARIABLE,
    Login,
    LoginError,
    login_from_environment,
)
from provisioning.resp import Connection
from provisioning.tls import TlsError, tls_context
from tests.unit.test_resp import Behaviour, answers, serving

pytestmark = pytest.mark.unit

CA_FILE = certifi.where()
"""A file of CAs in PEM that is there."""

CA, CERT, KEY = TLS_FILE_VARIABLES


@pytest.fixture(autouse=True)
def _no_login_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (USER_VARIABLE, PASSWORD_VARIABLE, TLS_VARIABLE, *TLS_FILE_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "login"),
    [
        ({}, Login()),
        ({PASSWORD_VARIABLE: "pw"}, Login("", "pw")),
        ({USER_VARIABLE: "probe", PASSWORD_VARIABLE: "pw"}, Login("probe", "pw")),
        ({TLS_VARIABLE: "1"}, Login(tls=Tls())),
        ({CA: CA_FILE}, Login(tls=Tls(CA_FILE))),
        ({TLS_VARIABLE: "1", CA: CA_FILE}, Login(tls=Tls(CA_FILE))),
        ({TLS_VARIABLE: "0", CA: "/nowhere"}, Login()),
        ({TLS_VARIABLE: "", CA: "", CERT: "", KEY: ""}, Login()),
    ],
)
def test_a_login_is_what_the_environment_says(
    environment: dict[str, str], login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, password and TLS each by a variable of its own; what is not set is empty."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert login_from_environment() == login


def test_a_login_does_not_show_its_password() -> None:
    """In no way in which a value is shown."""
    login = Login("ada", "S3CRET", Tls(CA_FILE))
    assert "ada" in repr(login)
    assert "S3CRET" not in repr(login) + str(login) + f"{login}"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({TLS_VARIABLE: "yes"}, "observed: yes"),
        ({CA: "/nowhere/ca.pem"}, "/nowhere/ca.pem: No such file"),
        ({CA: "/"}, "/: Is a directory"),
        ({CA: __file__}, f"{__file__}: no certificate of a CA"),
        ({CERT: "/nowhere/cert.pem"}, "/nowhere/cert.pem: No such file"),
        ({CERT: CA_FILE}, f"{CA_FILE}: no certificate in PEM with its key"),
        ({CERT: CA_FILE, KEY: "/nowhere/key.pem"}, "/nowhere/key.pem: No such file"),
        ({KEY: CA_FILE}, "a key without a certificate"),
    ],
)
def test_an_environment_that_is_no_use_is_named(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One message: the file, what is wrong with it, and what was expected instead."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises((LoginError, TlsError)) as caught:
        login_from_environment()
    assert says in str(caught.value)
    assert isinstance(caught.value, GauntletError)
    assert caught.value.expected
    assert caught.value.advice


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    """With the reason that the system gives."""
    file = tmp_path / "ca.pem"
    file.write_bytes(b"")
    file.chmod(0)
    try:
        file.open("rb").close()
    except PermissionError:
        reason = "Permission denied"
    else:
        reason = "no certificate of a CA"  # root may read everything, an empty file too
    with pytest.raises(TlsError, match=reason):
        tls_context(Tls(str(file)))


def test_the_chain_is_always_verified() -> None:
    """With the CA's file or the system's CAs; the name in the certificate with the latter only."""
    named, system = tls_context(Tls(CA_FILE)), tls_context(Tls())
    assert named.verify_mode is system.verify_mode is ssl.CERT_REQUIRED
    assert (named.check_hostname, system.check_hostname) == (False, True)


def silent(link: socket.socket, _: int) -> None:
    """Read and say nothing, as a Redis port without TLS may."""
    while link.recv(65536):
        pass


def hanging_up(link: socket.socket, _: int) -> None:
    link.recv(65536)


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (silent, "TLS: no handshake within the deadline"),
        (answers(b"-ERR unknown command\r\n"), "TLS: no handshake: "),
        (hanging_up, "TLS: no handshake: "),
    ],
    ids=["silent", "answering", "hanging up"],
)
def test_a_port_without_tls_is_one_reason(behave: Behaviour, says: str) -> None:
    """Whatever such a port makes of a handshake, the node is unreachable, within its deadline, and that is why."""
    with serving(behave) as address, Connection(address, tls=Tls(CA_FILE), password="S3CRET", deadline=0.5) as link:
        with pytest.raises(NodeUnreachable) as caught:
            link.call("PING")
    assert caught.value.observed.startswith(says)
    assert "port without TLS" in caught.value.observed
    assert "\n" not in caught.value.observed


def test_a_tls_file_that_is_gone_is_one_reason() -> None:
    """Also where it was there when the run began."""
    with serving(silent) as address, Connection(address, tls=Tls("/nowhere/ca.pem")) as link:
        with pytest.raises(NodeUnreachable) as caught:
            link.call("PING")
    assert caught.value.observed == "/nowhere/ca.pem: No such file or directory"


def test_a_user_without_a_password_logs_in_as_that_user() -> None:
    """An ACL user may need none; left out, another one would be asked: the default user."""
    received: list[bytes] = []

    def behave(link: socket.socket, count: int) -> None:
        received.append(link.recv(65536))
        link.sendall(b"+OK\r\n")
        answers(b"+PONG\r\n")(link, count)

    with serving(behave) as address, Connection(address, user="probe") as link:
        assert link.call("PING") == "PONG"
    assert received == [b"*3\r\n$4\r\nAUTH\r\n$5\r\nprobe\r\n$0\r\n\r\n"]
