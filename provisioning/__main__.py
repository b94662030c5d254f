"""``python -m provisioning``: a cluster to play with, its status, one command on one node, and its end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provisioning import playground
from provisioning.ansible_inventory import DEFAULT_INVENTORY, read_inventory
from provisioning.capturing import look_at_playground, look_by_inventory, look_from_seed
from provisioning.command import guarded
from provisioning.discovery import Seed
from provisioning.docker_engine import connect
from provisioning.errors import GauntletError, NodeUnreachable, SimulationError
from provisioning.evidence.capture_file import write_capture
from provisioning.images import host_image, server_image
from provisioning.inventory import Inventory, with_node_timeout
from provisioning.layout_table import layout_table
from provisioning.ownership import clean, reap
from provisioning.planned_inventory import planned_inventory
from provisioning.progress import runnable, say
from provisioning.resp import Refused
from provisioning.simulation import Images


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 with one message on stderr, 130 after Ctrl-C."""
    options = parser().parse_args(arguments)
    return guarded(lambda: int(options.act(options)))


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    main_parser = argparse.ArgumentParser(prog="python -m provisioning", description=__doc__)
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="build a simulated cluster that stays until `down`")
    up.add_argument("--name", default=playground.DEFAULT_NAME, help="name of the cluster (default: %(default)s)")
    up.add_argument("--inventory", type=Path, help="simulate this inventory (default: provisioning/inventory.yaml)")
    up.add_argument("--shards", type=int, help="number of masters (default 3)")
    up.add_argument("--replicas", type=int, help="replicas of each master (default 1)")
    up.add_argument("--hosts", type=int, help="number of hosts (default 3)")
    up.add_argument("--node-timeout", type=int, metavar="MS", help="cluster-node-timeout in milliseconds")
    up.add_argument("--server-image", metavar="REFERENCE", help="Docker image of the server")
    up.add_argument("--reach", choices=("auto", "direct", "published"), default="auto")
    up.add_argument("--joined", action="store_true", help="form it by MEET and REPLICATE instead of seeding nodes.conf")
    up.add_argument("--inventory-out", type=Path, metavar="FILE", help="write the effective inventory here too")
    up.set_defaults(act=_up)

    status = commands.add_parser("status", help="show the clusters that are up")
    status.add_argument("--name", help="this cluster only (default: all)")
    status.add_argument("--json", action="store_true", help="every node's host, containers, addresses, role, id, shard")
    status.set_defaults(act=_status)

    cli = commands.add_parser("cli", help="run one Redis command on one node")
    cli.add_argument("--name", help="the cluster (default: the only one that is up)")
    cli.add_argument("node", metavar="NODE", help="for example redis-host-1/redis_master")
    cli.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    cli.set_defaults(act=_cli)

    capture = commands.add_parser("capture", help="write down what nodes and hosts show, for `pytest --recording`")
    what = capture.add_mutually_exclusive_group()
    what.add_argument("--name", help="a cluster that is up (default: the only one)")
    what.add_argument("--inventory", type=Path, metavar="FILE", help="the cluster of this inventory")
    what.add_argument("--seed", metavar="HOST:PORT", help="the cluster that is found from this node")
    capture.add_argument("--no-host-access", action="store_true", help="do not enter real hosts over SSH")
    capture.add_argument("--output", type=Path, metavar="FILE", default=Path("evidence.json"))
    capture.set_defaults(act=_capture)

    down = commands.add_parser("down", help="remove a cluster and everything it made")
    which = down.add_mutually_exclusive_group()
    which.add_argument("--name", default=playground.DEFAULT_NAME, help="this cluster (default: %(default)s)")
    which.add_argument("--all", action="store_true", help="every cluster that is up")
    down.set_defaults(act=_down)

    sweep = commands.add_parser("clean", help="remove every object of ours that no running run owns")
    sweep.set_defaults(act=_clean)
    return main_parser


def _wanted(options: Any) -> Inventory:
    sizes = {name: getattr(options, name) for name in ("shards", "replicas", "hosts")}
    if options.inventory and any(each is not None for each in sizes.values()):
        raise GauntletError("--inventory says the size already", advice="leave --shards, --replicas and --hosts out")
    if any(each is not None for each in sizes.values()):
        chosen = {"shards": 3, "replicas": 1, "hosts": 3} | {k: v for k, v in sizes.items() if v is not None}
        wanted = planned_inventory(**chosen)
    else:
        wanted = read_inventory(options.inventory or DEFAULT_INVENTORY)
    if options.node_timeout is not None:
        wanted = with_node_timeout(wanted, options.node_timeout)
    return wanted


def _up(options: Any) -> int:
    playground.check_name(options.name)
    if options.inventory_out is not None and not options.inventory_out.absolute().parent.is_dir():
        raise GauntletError(
            f"--inventory-out {options.inventory_out} cannot be written",
            observed=f"{options.inventory_out.parent} is no directory",
            advice="make the directory, or name another file",
        )
    wanted = _wanted(options)
    engine = connect()
    reap(engine, say)
    images = Images(server_image(engine, options.server_image, say), host_image(engine, say))
    say(f"server     {images.server}")
    cluster = playground.up(
        engine,
        options.name,
        wanted,
        images,
        reach=options.reach,
        formation="joined" if options.joined else "seeded",
        inventory_out=options.inventory_out,
    )
    print(layout_table(cluster))
    written = options.inventory_out or playground.inventory_file(options.name)
    print(f"inventory  {written}")
    print(runnable(f"judge it   `pytest --inventory={written}").replace("`", ""))
    print(runnable(f"remove it  python -m provisioning down --name {options.name}"))
    return 0


def _status(options: Any) -> int:
    engine = connect()
    names = playground.names(engine) if options.name is None else [options.name]
    clusters, damaged = {}, []
    for name in names:
        try:
            clusters[name] = playground.found(engine, name)
        except SimulationError as problem:
            damaged.append(f"{name} is damaged: {problem.observed}; python -m provisioning down --name {name}")
    if options.json:
        print(json.dumps({name: playground.status(cluster) for name, cluster in clusters.items()}, indent=2))
    else:
        for name, cluster in clusters.items():
            print(f"{name}  ({playground.inventory_file(name)})\n{layout_table(cluster)}")
        if not names:
            say("no cluster is up: python -m provisioning up")
    for line in damaged:
        print(runnable(line), file=sys.stderr)
    return 1 if damaged else 0


def _cli(options: Any) -> int:
    engine = connect()
    name = _only(playground.names(engine)) if options.name is None else options.name
    cluster = playground.found(engine, name)
    nodes = {node.full_name: node for node in cluster.inventory.nodes}
    if options.node not in nodes:
        raise GauntletError(f"there is no node {options.node!r}", expected=f"one of {', '.join(nodes)}")
    node = nodes[options.node]
    if not options.command:
        raise GauntletError("no command is given", advice=f"python -m provisioning cli {options.node} CLUSTER NODES")
    try:
        answer = cluster.call(node, *options.command)
    except Refused as refusal:
        print(f"(error) {refusal}")
        return 1
    except NodeUnreachable as problem:
        raise GauntletError(
            f"{options.node} does not answer",
            observed=problem.observed or problem.summary,
            advice=f"where it has ended: docker start {cluster.simulated.host_of(node).name} {node.container}",
        ) from None
    print(_shown(answer))
    return 0


def _capture(options: Any) -> int:
    if options.seed is not None:
        evidence = look_from_seed(Seed.parse(options.seed))
    elif options.inventory is not None:
        evidence = look_by_inventory(options.inventory, host_access=not options.no_host_access)
    else:
        evidence = look_at_playground(options.name or _only(playground.names(connect())))
    write_capture(evidence, options.output)
    silent = [node.name for node in evidence.nodes if node.unreachable]
    print(f"wrote      {options.output}: {len(evidence.nodes)} nodes, {len(evidence.hosts)} hosts")
    if silent:
        print(f"silent     {', '.join(silent)}")
    print(runnable(f"judge it   `pytest --recording {options.output}").replace("`", ""))
    return 0


def _only(names: list[str]) -> str:
    if len(names) != 1:
        raise GauntletError(
            "which cluster?",
            expected="one cluster that is up, or --name",
            observed=f"up: {', '.join(names) or 'none'}",
            advice="python -m provisioning up" if not names else f"--name {names[0]}",
        )
    return names[0]


def _shown(answer: object, indent: str = "") -> str:
    """Return an answer the way redis-cli prints it without a terminal."""
    if isinstance(answer, list):
        return (
            "\n".join(
                f"{indent if n > 1 else ''}{n}) {_shown(each, indent + ' ' * len(f'{n}) '))}"
                for n, each in enumerate(answer, 1)
            )
            or "(empty array)"
        )
    return "(nil)" if answer is None else str(answer).rstrip("\n")


def _down(options: Any) -> int:
    engine = connect()
    names = playground.names(engine) if options.all else [options.name]
    for name in names:
        print(f"removed {playground.down(engine, name)} objects of {name}")
    if not names:
        print("no cluster is up")
    return 0


def _clean(options: Any) -> int:
    engine = connect()
    print(f"removed {clean(engine, say)} objects in all")
    present = playground.names(engine)
    for file in playground.inventories():
        if file.stem not in present:
            file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
