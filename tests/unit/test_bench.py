"""The benchmark accepts what was promised, and nothing slower."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning import bench

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("ours", "recipe", "code"), [(2.0, 5.0, 0), (2.0, 4.99, 1), (3.5, 30.0, 0), (5.0, 4.0, 1)])
def test_a_broken_promise_fails_after_the_figures_are_written(
    ours: float,
    recipe: float,
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At least 2.5 times as fast as the recipe is exit code 0; less is 1 with one message; the file is there anyway."""
    figures = {"ours_s": ours, "recipe_s": recipe, "recipe_over_ours": round(recipe / ours, 2)}
    monkeypatch.setattr(bench, "_formation", lambda runs: figures)
    assert bench.main(["--report", str(tmp_path)]) == code
    assert json.loads((tmp_path / "bench.json").read_text(encoding="utf-8")) == {"formation": figures}
    assert capsys.readouterr().err.count("error: ") == code
