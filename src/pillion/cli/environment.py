"""`pillion environment`: where the app runs, for people and for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.measures import human_size
from pillion.cli.table import has_colour, paint, printable, write_lines
from pillion.environment.facts import Environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pillion.environment.facts import Account, Cloud, Container, Host, Pod, Process
    from pillion.model.component import Limits

NAME = "environment"
SUMMARY = "show where the app runs"

# A metadata service has three seconds, the host's files five.
_TIMEOUT_S = 15.0
_KEY_WIDTH = 14
_RESOURCES = ("nofile", "nproc", "core", "memlock")

Row = tuple[str, str | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    facts = open_door(args).api("GET", "/v1/environment", Environment, timeout_s=_TIMEOUT_S)
    if args.json:
        print_json(facts)
    else:
        write_lines(environment_lines(facts, colour=has_colour(sys.stdout)))
    return 0


def environment_lines(facts: Environment, *, colour: bool) -> list[str]:
    """`facts` as lines for people: a heading, and what is known below it."""
    lines: list[str] = []
    for title, rows in _sections(facts):
        known = [(key, text) for key, text in rows if text]
        if known:
            lines.append(paint(title, "bold", colour=colour))
            lines += [f"  {key:<{_KEY_WIDTH}}{printable(text)}" for key, text in known]
    return lines


def _sections(facts: Environment) -> Iterator[tuple[str, list[Row]]]:
    yield "host", list(_host(facts.host))
    if facts.container is not None:
        yield "container", _container(facts.container)
    if facts.pod is not None:
        yield "pod", _pod(facts.pod)
    if facts.cloud is not None:
        yield "cloud", _cloud(facts.cloud)
    if facts.app is not None:
        yield "app", list(_app(facts.app))
    rows = [(one.component, _limits(one.limits, one.limits_by)) for one in facts.limits]
    yield "limits", [*rows]
    own = facts.sidecar
    yield (
        "sidecar",
        [
            ("version", own.version),
            ("keeper", own.keeper_version if own.keeper_version != own.version else None),
            ("instance", own.instance),
            ("run", own.run),
            ("settings", own.settings_file),
            ("digest", own.settings_digest),
        ],
    )


def _host(host: Host) -> Iterator[Row]:
    yield "name", host.name
    yield "machine", host.machine
    yield "boot", host.boot
    yield "hardware", host.hardware
    yield "distribution", host.distribution.name
    yield "kernel", _words(host.kernel.name, host.kernel.release, host.kernel.architecture)
    cpu, memory = host.cpu, host.memory
    quota = None if cpu.quota is None else f"at most {cpu.quota:g} cores"
    usable = (
        f"{len(cpu.affinity)} usable"
        if cpu.affinity is not None and len(cpu.affinity) != cpu.count
        else None
    )
    count = None if cpu.count is None else f"{cpu.count} of"
    yield "processors", ", ".join(p for p in (_words(count, cpu.model), usable, quota) if p)
    told = [
        None if memory.total is None else human_size(memory.total),
        None if memory.available is None else f"{human_size(memory.available)} available",
        None if memory.limit is None else f"at most {human_size(memory.limit)}",
    ]
    yield "memory", ", ".join(text for text in told if text)
    for disk in host.disks:
        room = (
            "size unknown"
            if disk.size is None or disk.free is None
            else f"{human_size(disk.free)} of {human_size(disk.size)} free"
        )
        yield "disk", f"{disk.mount} ({', '.join(disk.holds)}): {disk.kind}, {room}"
    for interface in host.network:
        yield "network", f"{interface.name}: {', '.join(interface.addresses)}"


def _container(container: Container) -> list[Row]:
    return [
        ("runtime", container.runtime),
        ("id", container.id),
        ("name", container.name),
        ("image", container.image),
    ]


def _pod(pod: Pod) -> list[Row]:
    return [
        ("name", pod.name),
        ("namespace", pod.namespace),
        ("uid", pod.uid),
        ("address", pod.address),
        ("node", pod.node),
        ("account", pod.service_account),
        *(("label", f"{key}={value}") for key, value in pod.labels.items()),
    ]


def _cloud(cloud: Cloud) -> list[Row]:
    return [
        ("provider", cloud.provider),
        ("account", cloud.account),
        ("instance", cloud.instance),
        ("name", cloud.name),
        ("kind", cloud.kind),
        ("region", cloud.region),
        ("zone", cloud.zone),
        ("image", cloud.image),
        ("error", cloud.error),
    ]


def _app(app: Process) -> Iterator[Row]:
    yield "pid", str(app.pid)
    yield "executable", app.executable
    yield "command", " ".join(app.arguments)
    yield "directory", app.workdir
    yield "user", _account(app.user)
    yield "group", _account(app.group)
    yield "groups", ", ".join(text for one in app.groups if (text := _account(one)))
    for name in _RESOURCES:
        bound = app.resources.get(name)
        if bound is not None:
            yield f"rlimit {name}", f"{_bound(bound.soft)} (hard {_bound(bound.hard)})"


def _limits(limits: Limits, means: str | None) -> str | None:
    told = [
        None if limits.memory is None else f"memory {human_size(limits.memory)}",
        None if limits.cpu is None else f"cpu {limits.cpu:g}",
        None if limits.processes is None else f"processes {limits.processes}",
        None if limits.open_files is None else f"open files {limits.open_files}",
    ]
    known = ", ".join(text for text in told if text)
    return f"{known} (by {means})" if known and means else known or None


def _account(account: Account | None) -> str | None:
    if account is None:
        return None
    return str(account.id) if account.name is None else f"{account.name} ({account.id})"


def _bound(number: int | None) -> str:
    return "unlimited" if number is None else str(number)


def _words(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
