"""A password leaves a file as it was, but for itself: what is masked is still JSON and still the same evidence."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fixtures.options import TARGET
from fixtures.reporting import _secrets
from fixtures.target import Target
from provisioning.evidence import Evidence
from provisioning.evidence.capture_file import write_capture
from provisioning.login import PASSWORD_VARIABLE
from provisioning.masking import masked_values
from tests.unit.listing import M1, node_changed, seen_by_all, wanted

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("password", ["redis", '":', "host", "name", "nodes", "{", "1"])
def test_a_password_that_is_a_common_word_breaks_no_file(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name of a field changes, nor a name of a node or host, and the file is read again."""
    monkeypatch.setenv(PASSWORD_VARIABLE, password)
    evidence = node_changed(seen_by_all(), M1, info={"redis_version": "8.0.2"}, acl=(f"said {password}!",))
    file = tmp_path / "evidence.json"
    write_capture(evidence, file)
    again = Evidence.from_dict(json.loads(file.read_text(encoding="utf-8")))
    assert [set(node.info or {}) for node in again.nodes] == [set(node.info or {}) for node in evidence.nodes]
    assert [(node.name, node.host) for node in again.nodes] == [(node.name, node.host) for node in evidence.nodes]
    assert again.wanted is not None
    assert [node.full_name for node in again.wanted.nodes] == [node.full_name for node in wanted().nodes]
    assert [node.acl for node in again.nodes if node.name == M1] == [("said masked!",)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_password_in_any_answer_is_masked(tmp_path: Path) -> None:
    """Wherever it stands below, in whatever form."""
    evidence = node_changed(seen_by_all(), M1, not_collected={"acl": "ERR secret-of-the-test"})
    write_capture(evidence, tmp_path / "evidence.json")
    assert "secret-of-the-test" not in (tmp_path / "evidence.json").read_text(encoding="utf-8")
    value = {"a": ["x", {"b": "x y"}], "x": 1, "n": None}
    assert masked_values(value, {"x"}) == {"a": ["masked", {"b": "masked y"}], "x": 1, "n": None}


def test_a_report_knows_the_password_of_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the cluster that was found from there, and that of the environment."""
    monkeypatch.setenv(PASSWORD_VARIABLE, "of-the-environment")
    item = SimpleNamespace(stash=pytest.Stash(), config=SimpleNamespace(stash=pytest.Stash()))
    nobodys = wanted(hosts=())
    item.config.stash[TARGET] = Target(nobodys, wanted())
    assert _secrets(cast(Any, item)) == {"secret-of-the-test", "of-the-environment"}
    item.config.stash[TARGET] = Target(nobodys)
    monkeypatch.delenv(PASSWORD_VARIABLE)
    assert _secrets(cast(Any, item)) == frozenset()
