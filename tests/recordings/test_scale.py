"""Cost grows with the lines and no faster; the bench that says so measures, keeps other figures, and can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.rules import scale
from fixtures.rules.judge import Verdict, judge
from fixtures.rules.large_cluster import listings
from provisioning.errors import GauntletError
from provisioning.evidence import Evidence


def test_views_that_agree_are_of_a_healthy_cluster() -> None:
    """The made-up cluster is one that no rule finds fault with, whatever its size."""
    for nodes in (6, 10, 60, 300):
        evidence = Evidence.of_listings(listings(nodes, 5, differing=False))
        assert [view.myself.address for view in evidence.views if view.myself] == [f"10.0.0.{n}:6379" for n in range(5)]
        judgement = judge(evidence)
        assert (judgement.verdict, judgement.findings) == (Verdict.HOLDS, ())


def test_views_that_differ_do_so_in_a_few_points() -> None:
    """Every tenth view has a suspect, a missing member and a failover of its own."""
    evidence = Evidence.of_listings(listings(60, 30, differing=True))
    found = {finding.rule for finding in judge(evidence).findings}
    assert {"views-disagree", "node-pfail", "link-disconnected"} <= found
    assert [number for number, view in enumerate(evidence.views) if len(view.entries) == 59] == [1, 11, 21]


def test_bench_measures_and_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The figures are written under a key of their own, beside those of the other bench."""
    (tmp_path / "bench.json").write_text('{"formation": {"ours_s": 3.5}, "scale": "old"}', encoding="utf-8")
    code = scale.main(["--report", str(tmp_path), "--nodes", "100", "--views", "20", "--runs", "1"])
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert written["formation"] == {"ours_s": 3.5}
    costs = written["scale"]["costs"]
    assert {(each["nodes"], each["views"]) for each in costs} >= {(10, 2), (100, 2), (100, 20)}
    assert all(each["parse_us"] > 0 and each["judge_us"] > 0 for each in costs)
    assert written["scale"]["bytes_per_line"]["100 nodes, 20 views"] > 100
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) > len(costs)
    assert code == ("costs more than linear" in captured.err)  # so small that noise may count


def costs(**growth: float) -> list[scale.Cost]:
    """Return figures that are flat, but for a growth with nodes or views."""
    flat = [(10, 10), (100, 10), (1000, 10), (1000, 1), (1000, 100)]
    return [
        scale.Cost(
            nodes,
            views,
            differing,
            nodes * views,
            10.0 * (growth.get("parse", 1.0) if nodes == 1000 else 1.0),
            20.0 * (growth.get("judge", 1.0) if views == 100 and differing else 1.0),
        )
        for differing in (False, True)
        for nodes, views in flat
    ]


FLAT = {(100, 10): 900.0, (1000, 10): 900.0, (1000, 100): 900.0}


@pytest.mark.parametrize(
    ("growth", "memory", "said"),
    [
        ({"parse": 3.1}, FLAT, "parsing views that agree, by nodes, costs more than linear"),
        ({"judge": 3.1}, FLAT, "judging views that differ, by views, costs more than linear"),
        ({}, {**FLAT, (1000, 10): 1900.0}, "memory by nodes costs more than linear"),
        ({}, {**FLAT, (1000, 100): 1900.0}, "memory by views costs more than linear"),
    ],
)
def test_growth_beyond_the_bound_fails(
    growth: dict[str, float], memory: dict[tuple[int, int], float], said: str
) -> None:
    """A line that costs more than the bound allows at ten times the size is an error that says which."""
    with pytest.raises(GauntletError, match=said) as caught:
        scale.check_all(costs(**growth), memory)
    assert "cost of a line with" in caught.value.expected


def test_growth_within_the_bound_passes() -> None:
    """Up to the bound a line may cost more: small sizes are spared what large ones pay once."""
    scale.check_all(costs(parse=2.9, judge=2.9), {**FLAT, (1000, 100): 1700.0})


@pytest.mark.parametrize("content", ["[]", "{", '"text"'])
def test_report_of_something_else_is_not_overwritten(tmp_path: Path, content: str) -> None:
    """A file that is no bench report is left as it is, with one error."""
    (tmp_path / "bench.json").write_text(content, encoding="utf-8")
    with pytest.raises(GauntletError, match="cannot be written"):
        scale.write(tmp_path / "bench.json", {})
    assert (tmp_path / "bench.json").read_text(encoding="utf-8") == content


def test_too_few_to_see_growth_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Growth over ten nodes would be noise: the bench says from where on it measures."""
    with pytest.raises(SystemExit) as ended:
        scale.main(["--nodes", "10"])
    assert ended.value.code == 2
    assert "at least 100 nodes" in capsys.readouterr().err
