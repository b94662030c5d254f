"""The one script that is run on a host for a look, and how its output is read. Pure: it runs nothing itself."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioning.evidence.container import AOF_CUT, ContainerEvidence, aof_cut_in
from provisioning.evidence.host import HostEvidence
from provisioning.evidence.info import SECRET_SETTINGS
from provisioning.inventory import Host, Node

CONNECT_SECONDS = 2
"""How long one TCP connect may take; on a LAN it takes under a millisecond."""

MORE_SECONDS = 1
"""How much longer, where the host did not run it all that time."""

DIALLED_AT_ONCE = 50
"""Connects of one batch: each is a shell of its own."""

DIAL_SECONDS = 2
"""No batch begins later. Each then ends, by CONNECT_SECONDS and MORE_SECONDS, within what the whole script may take."""

TOOLS = {"bash": ("reachable_ports",), "ss": ("listening",), "ps": ("processes", "open_files")}
"""What the script needs on a host, and the fields that are missing without."""

START_LINES = 500
"""How much of a container's log is read for what the server said when it started."""

AS_WANTED = "(the inventory's)"
NOT_AS_WANTED = "(another than the inventory's)"
"""What stands for a password in the facts, which never hold one."""

NOT_KEPT = "(left out)"
"""What stands for the rest of a directive that may hold anybody's password."""

HIDDEN = ("user", "rename-command")
"""Such directives: an ACL user with its passwords in clear, a command's secret name."""

_TITLE = re.compile(r"((?:\S*/)?(?:redis|valkey)-server [^\s=]*:(\d+)(?: \[\w+\])?)(?!\S).*")
_ENGINE = re.compile(r"(\S*dockerd)(?!\S).*")

DIAL = f"""\
bash -c '
dial() {{
exec 4< <(echo "$BASHPID"; {{ : 3<>"/dev/tcp/$1/$2"; }} 2>/dev/null && echo open || echo closed)
read -r dialler <&4 || return
for seconds in {CONNECT_SECONDS} {MORE_SECONDS}
do
read -r -t $seconds said <&4 && echo "connect $1:$2 $said" && return
[ $? -gt 128 ] || return
state= && read -r _ _ state _ <"/proc/$dialler/stat"
[ "$state" = S ] && echo "connect $1:$2 closed" && break
done
kill "$dialler"
}}
dialled=0 SECONDS=0
while read -r host port
do
dial "$host" "$port" </dev/null 2>/dev/null &
dialled=$((dialled + 1))
[ $((dialled % {DIALLED_AT_ONCE})) -eq 0 ] || continue
wait
[ $SECONDS -lt {DIAL_SECONDS} ] || break
done
wait
' <<'END'"""
"""Dials the addresses that follow, one ``host port`` a line up to ``END``; they are data and nothing else.

Each is dialled by a process of its own, whose time begins when it runs. One that is over its time has had no
answer if it sleeps; one that the host has given no processor for so long has MORE_SECONDS. Whoever ends without a
word then, or before, says nothing of the port.
"""

OF_REMOTE = (
    "if command -v docker >/dev/null 2>&1; then echo 'engine installed yes'",
    "docker version --format '{{.Server.Version}}' 2>/dev/null | sed 's/^/engine version /'",
    'echo "engine enabled $(systemctl is-enabled docker 2>/dev/null)"; fi',
    "sed 's/^/kernel overcommit_memory /' /proc/sys/vm/overcommit_memory 2>/dev/null",
    "sed 's/^/kernel transparent_hugepage /' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null",
)
"""What only a host with a kernel, and perhaps an engine, of its own can say."""


def look_script(host: Host, targets: Iterable[tuple[str, int]], *, remote: bool) -> str:
    """Return a script each line of whose output begins with its subject.

    ``targets`` are the addresses that the host is to dial, in batches and in this order; those that it
    has no time for are left out. On a ``remote`` host its engine and its kernel are asked as well.
    """
    lacking = f"for each in {' '.join(TOOLS)}; do command -v $each >/dev/null 2>&1 || echo lacks $each; done"
    paths = [
        path
        for node in host.nodes
        for path in (shlex.quote(node.config_file), shlex.quote(node.data_dir), f"{shlex.quote(node.data_dir)}/*")
    ]
    configurations = [_configuration(node.config_file) for node in host.nodes]
    names = " ".join(shlex.quote(node.container or node.name) for node in host.nodes)
    inspect = (
        "docker inspect --type container --format '{{.Name}} {{.State.StartedAt}} {{json .}}' " + names + " 2>/dev/null"
        " | while read -r each began said; do each=${each#/}; "
        '[ -n "$said" ] && printf "container %s %s\\n" "$each" "$said" && '
        f'timeout {CONNECT_SECONDS} docker logs --since "$began" "$each" 2>&1 </dev/null | head -n {START_LINES} '
        f"| grep -m 1 '{AOF_CUT}' | sed \"s|^|aofcut $each |\"; done"
    )
    return "\n".join(
        [
            lacking,
            DIAL,
            *(f"{ip} {port}" for ip, port in targets),
            "END",
            "ps -o sid= $$ | sed 's/^/session /'",
            "ps -ww -eo sid=,pid=,ppid=,uid=,gid=,args= | sed 's/^/process /'",
            "for pid in $(ps -eo pid=,args= | awk '/-server .*:[0-9]/{print $1}')",
            "do echo \"limit $pid $(awk '/Max open files/{print $4}' /proc/$pid/limits 2>/dev/null)\"; done",
            "ss -tlnH | sed 's/^/socket /'",
            "ip -o -4 address show scope global | sed 's/^/address /'",
            f"stat --printf 'file %u:%g %a\\t%n\\n' {' '.join(paths)} 2>/dev/null",
            "sed 's/^/mount /' /proc/self/mountinfo",
            *configurations,
            *((*OF_REMOTE, inspect) if remote else ()),
            "true",
        ]
    )


def _configuration(path: str) -> str:
    """Return what shows the file, or that it is hidden from this user: that is not to be taken for its absence."""
    file, folder = shlex.quote(path), shlex.quote(path.rpartition("/")[0] or "/")
    shown = f"sed 's|^|{path} |' {file} 2>/dev/null"
    hidden = f"[ -e {file} ] || {{ [ -d {folder} ] && [ ! -x {folder} ]; }}"
    return f"{shown} || {{ {{ {hidden}; }} && echo hidden {file}; }}"


def read_look(host: Host, output: str, *, remote: bool) -> HostEvidence:
    """Return what the script's output says of the host. ``facts``:

    - ``addresses``: its IPv4 addresses, loopback left out
    - ``files``: path of configuration and data -> ``uid:gid mode``, the mode in octal
    - ``hidden``: the configuration files that this user may not read
    - ``mounts``: the mount points

    A field is None where the host lacks the tool that shows it. Of a ``remote`` host only servers and engines
    are kept of its processes, without arguments. Raises ValueError or LookupError for output in another form.
    """
    said: dict[str, list[str]] = {}
    for line in output.split("\n"):
        subject, _, rest = line.partition(" ")
        said.setdefault(subject, []).append(rest)
    engine = dict(line.split(" ", 1) for line in said.get("engine", []) if " " in line)
    seen = HostEvidence(
        host.name,
        reachable_ports={address: word == "open" for address, word in map(str.split, sorted(said.get("connect", [])))},
        listening=tuple(sorted(line.split()[3] for line in said.get("socket", []))),
        processes=_processes(said, remote=remote),
        containers=_containers(host, said) if remote and engine else None,
        engine=_engine(engine) if remote and engine else None,
        directives=_directives(host, said),
        kernel=_kernel(said) if remote else None,
        open_files=_open_files(host, said),
        facts={
            "addresses": sorted(line.split()[3].partition("/")[0] for line in said.get("address", [])),
            "files": {path: access for access, path in (line.split("\t") for line in said.get("file", []))},
            "hidden": sorted(said.get("hidden", [])),
            "mounts": sorted(line.split()[4] for line in said.get("mount", [])),
        },
    )
    return _without(seen, [tool for tool in said.get("lacks", []) if tool in TOOLS])


def _without(seen: HostEvidence, tools: Sequence[str]) -> HostEvidence:
    """Return the evidence without the fields that these tools would have shown."""
    missing = {field: f"there is no {tool} on the host" for tool in tools for field in TOOLS[tool]}
    empty: dict[str, Any] = dict.fromkeys(missing)
    return replace(seen, not_collected={**seen.not_collected, **missing}, **empty)


def _rows(said: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return session, pid, parent, user, group and command line of each process that has a command line."""
    rows = (line.split(maxsplit=5) for line in said.get("process", []))
    return [row for row in rows if len(row) == 6]


def _processes(said: Mapping[str, Sequence[str]], *, remote: bool) -> tuple[str, ...]:
    """Return all but the look's own; servers' arguments, and whatever else a real host runs, stay there."""
    own = {line.strip() for line in said.get("session", [])}
    found = []
    for session, *ids, command in _rows(said):
        known = _TITLE.fullmatch(command) or (_ENGINE.fullmatch(command) if remote else None)
        if session not in own and (known or not remote):
            found.append(" ".join((*ids, known[1] if known else command)))
    return tuple(found)


def _open_files(host: Host, said: Mapping[str, Sequence[str]]) -> dict[str, int]:
    limits = dict(line.split() for line in said.get("limit", []) if len(line.split()) == 2)
    ports = {node.port: node.full_name for node in host.nodes}
    found = {}
    for _, pid, _, _, _, title in _rows(said):
        server = _TITLE.fullmatch(title)
        if server and int(server[2]) in ports and limits.get(pid, "").isdecimal():
            found[ports[int(server[2])]] = int(limits[pid])
    return found


def _directives(host: Host, said: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """Return the directives of every configuration file that is there, of a repeated one the last."""
    found = {}
    for node in host.nodes:
        if node.config_file in said:
            found[node.full_name] = _of_file(node, said[node.config_file])
    return found


def _of_file(node: Node, lines: Iterable[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        if words:
            value = NOT_KEPT if words[0].lower() in HIDDEN else " ".join(words[1:])
            if words[0].lower() in SECRET_SETTINGS:
                value = AS_WANTED if value == node.password else NOT_AS_WANTED
            found[words[0].lower()] = value
    return found


def _engine(said: Mapping[str, str]) -> dict[str, str]:
    version, enabled = said.get("version", ""), said.get("enabled", "")
    return {
        "running": "yes" if version else "no",
        "version": version,
        "enabled": {"enabled": "yes", "disabled": "no", "masked": "no"}.get(enabled, ""),
    }


def _kernel(said: Mapping[str, Sequence[str]]) -> dict[str, str]:
    found = dict(line.split(" ", 1) for line in said.get("kernel", []) if " " in line)
    chosen = re.search(r"\[(\w+)\]", found.get("transparent_hugepage", ""))
    if chosen:
        found["transparent_hugepage"] = chosen[1]
    return found


def _containers(host: Host, said: Mapping[str, Sequence[str]]) -> dict[str, ContainerEvidence]:
    inspected: dict[str, Any] = {}
    cut = {name: aof_cut_in(line) for name, _, line in (each.partition(" ") for each in said.get("aofcut", []))}
    for line in said.get("container", []):
        name, _, text = line.partition(" ")
        inspected[name] = json.loads(text)
        if not isinstance(inspected[name], dict):
            raise ValueError(f"docker inspect {name}: no object")
    return {
        node.full_name: ContainerEvidence.of_inspect(name, inspected[name], aof_cut=cut.get(name, ""))
        if (name := node.container or node.name) in inspected
        else ContainerEvidence(name, "absent")
        for node in host.nodes
    }
