"""`pillion health`: the app's health and its checks; the exit code says it in one word."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import msgspec

from pillion.cli import api_client
from pillion.cli.door import open_door
from pillion.cli.instances import add_instance_argument
from pillion.cli.json_output import print_json
from pillion.cli.measures import age_s, human_age
from pillion.cli.table import Cell, has_colour, paint, printable, render, write_lines
from pillion.errors import UnreachableError
from pillion.keeper.places import API_SOCKET

if TYPE_CHECKING:
    import argparse

NAME = "health"
SUMMARY = "show the app's health and its checks"

PASSING = "passing"
_KINDS = ("readiness", "liveness", "startup")
_HEADS = ("CHECK", "KIND", "STATUS", "FOR", "TOOK", "OUTPUT")
_STYLES = {PASSING: "green", "warning": "yellow", "critical": "red"}
_PATIENCE_S = 5.0
_OUTPUT_CHARACTERS = 100


class Check(msgspec.Struct, kw_only=True):
    """What the table shows of a check."""

    name: str
    status: str
    kind: str = ""
    probe: str = ""
    output: str = ""
    since: str | None = None
    duration_ms: float | None = None
    checked: str | None = None
    failures: int = 0
    counts: bool = True
    registered: bool = False


class Report(msgspec.Struct, kw_only=True):
    """The answer of `GET /v1/health`."""

    status: str
    checks: list[Check] = []
    reasons: list[str] = []


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    add_instance_argument(parser)
    parser.add_argument("--kind", choices=_KINDS, help="only checks of this kind")


def run(args: argparse.Namespace) -> int:
    """Show it; 0 when it is passing, 1 otherwise."""
    path = "/v1/health" if args.kind is None else f"/v1/health?kind={args.kind}"
    socket_path = open_door(args).found.path(API_SOCKET)
    # Critical is an answer as good as any: its status is for load balancers.
    data = api_client.request(
        socket_path, "GET", path, None, timeout_s=_PATIENCE_S, also=frozenset({503})
    )
    try:
        report = msgspec.json.decode(data, type=Report)
    except msgspec.DecodeError as error:
        raise UnreachableError(
            f"cannot read the agent's answer to GET {path}: {error}; is it of another version? see `pillion status`"
        ) from error
    if args.json:
        print_json(report)
    else:
        write_lines(_lines(report, time.time(), colour=has_colour(sys.stdout)))
    return 0 if report.status == PASSING else 1


def _lines(report: Report, now_s: float, *, colour: bool) -> list[str]:
    lines = [paint(report.status, _STYLES.get(report.status, ""), colour=colour)]
    lines += [f"  {printable(reason)}" for reason in report.reasons]
    if report.checks:
        rows = [_row(check, now_s) for check in report.checks]
        lines += ["", *render(_HEADS, rows, colour=colour)]
    return lines


def _row(check: Check, now_s: float) -> list[Cell]:
    took = "-" if check.duration_ms is None else f"{check.duration_ms:.1f} ms"
    output = printable(check.output.partition("\n")[0])
    if len(output) > _OUTPUT_CHARACTERS:
        output = output[: _OUTPUT_CHARACTERS - 1] + "…"
    status = check.status if check.counts else f"({check.status})"
    return [
        Cell(check.name),
        Cell(check.kind),
        Cell(status, _STYLES.get(check.status, "")),
        Cell(human_age(age_s(check.since, now_s)), right=True),
        Cell(took, right=True),
        Cell(output),
    ]
