"""A server's log is read on the clock of the engine, whatever the server's time zone, and garbage is passed over."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning.evidence.server_log import parse_server_log
from tests.examples import examples

pytestmark = pytest.mark.unit

AT = datetime(2026, 3, 1, 23, 59, 59, 123000, tzinfo=UTC)


def line(zone: timedelta = timedelta(0), late: timedelta = timedelta(milliseconds=7), text: str = "Hello") -> str:
    """Return a line as the engine shows it: its own UTC stamp, then what the server wrote in its local time."""
    engine = (AT + late).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z"
    server = (AT + zone).strftime("%d %b %Y %H:%M:%S.") + f"{(AT + zone).microsecond // 1000:03d}"
    return f"{engine} 1:M {server} * {text}"


@examples()
@given(quarters=st.integers(-48, 56), late=st.integers(0, 400_000))
def test_any_time_zone_gives_the_same_moment(quarters: int, late: int) -> None:
    """The server's stamp is taken to the millisecond, its zone found, and the engine's delay left out."""
    parsed = parse_server_log(line(timedelta(minutes=15 * quarters), timedelta(milliseconds=late)))
    assert [each.at for each in parsed] == [AT.timestamp()]


def test_text_and_order_are_kept() -> None:
    """Lines of masters, replicas, sentinels and children, at every level, in the order of the log."""
    text = "\n".join(
        line(text=f"line {n}").replace(" 1:M ", f" {n}:{kind} ").replace(" * ", f" {level} ")
        for n, (kind, level) in enumerate([("M", "*"), ("S", "#"), ("C", "."), ("X", "-")])
    )
    assert [each.text for each in parse_server_log(text)] == ["line 0", "line 1", "line 2", "line 3"]


def test_a_stamp_without_fraction_is_read() -> None:
    """Engines that leave out trailing zeros give whole seconds, or fewer digits."""
    whole = re.sub(r"\.\d+Z", "Z", line(), count=1)
    assert whole.startswith("2026-03-01T23:59:59Z 1:M ")
    assert [each.at for each in parse_server_log(whole)] == [AT.timestamp()]
    assert [each.at for each in parse_server_log(whole.replace("59Z", "59.5Z", 1))] == [AT.timestamp()]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "no log at all",
        line()[: len(line()) // 2],
        line().replace("2026-03", "2026-13", 1),
        line().replace("01 Mar", "31 Feb"),
        line().replace("01 Mar", "01 Mae"),
        line().replace("T23:", "T25:", 1),
        line().replace("2026", "0000"),
        "2026-03-01T00:00:00.0Z 1:M 1 Mar 2026 00:00:00 * other format",
        "2026-03-01T00:00:00.0Z                _._\n2026-03-01T00:00:00.0Z Running in cluster mode",
        "\x00\xff" * 20,
    ],
)
def test_garbage_is_passed_over(garbage: str) -> None:
    """The banner, cut lines, other formats and days that do not exist give nothing, and spoil no line beside them."""
    assert parse_server_log(garbage) == []
    around = parse_server_log(f"{line(text='before')}\n{garbage}\n{line(text='after')}\n")
    assert [each.text for each in around] == ["before", "after"]


@examples(150)
@given(
    st.one_of(
        st.text(), st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ 1:M \d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3} \* x")
    )
)
def test_no_text_breaks_the_reading(text: str) -> None:
    """Whatever a container printed, reading it raises nothing."""
    assert len(parse_server_log(text)) <= len(text.splitlines())
