"""The lines a redis-server logs, on the clock of the watcher."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LINE = re.compile(
    r"(?P<engine>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z "
    r"\d+:[XCSM] (?P<server>\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) (?P<level>[.\-*#]) (?P<text>.*)"
)
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True)
class LogLine:
    """One line: Unix time in seconds (the server's own millisecond stamp) and its text."""

    at: float
    text: str


def parse_server_log(text: str) -> list[LogLine]:
    """Return the lines of a container log that was read with the engine's time stamps.

    The server's stamp is exact but in its local time zone; the engine's is UTC but late. The zone is
    the whole number of quarter hours that brings the first next to the second.
    """
    lines = []
    for raw in text.splitlines():
        found = LINE.match(raw)
        if not found:
            continue
        try:
            engine = datetime.fromisoformat(found["engine"][:26]).replace(tzinfo=UTC)
            server = datetime.strptime(found["server"], "%d %b %Y %H:%M:%S.%f").replace(tzinfo=UTC)
        except ValueError:  # no such day or hour
            continue
        zone = round((engine - server) / QUARTER) * QUARTER
        lines.append(LogLine((server + zone).timestamp(), found["text"]))
    return lines
