"""`python -m bench`: take the figures, print the table, and write it with a plot under bench/results/.

A figure that misses its bound is reported, not failed: what the exit code tells is whether everything could be measured.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
import time
import traceback
from typing import NoReturn

from bench.figure import Figure, Result, Unavailable
from bench.figures import FIGURES
from bench.install import install
from bench.machine import facts
from bench.peers import PeersMissing, find
from bench.programs import compile_all
from bench.report import as_json, as_markdown
from bench.workbench import Bench, new_folder

_RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
# Load per core before the first figure from which on others are at work here.
_BUSY = 0.3
_BUSY_TEXT = (
    "this machine is busy (load {:.1f}): the figures will say more about that than about Pillion"
)


def main() -> int:
    """Take the figures that were asked for. Returns 1 when one could not be taken, 2 for a wrong name."""
    given = _arguments()
    known = {figure.name: figure for figure in FIGURES}
    if unknown := [name for name in given.names if name not in known]:
        print(f"cannot measure {', '.join(unknown)}: there are {', '.join(known)}", file=sys.stderr)
        return 2
    wanted = [known[name] for name in given.names] or list(FIGURES)
    # A stop must run the clean-ups: there may be a frozen disk among them.
    signal.signal(signal.SIGTERM, _stopped)
    folder = new_folder()
    try:
        return _measure(wanted, given, folder)
    except (PeersMissing, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=", ".join(figure.name for figure in FIGURES)
    )
    parser.add_argument("--quick", action="store_true", help="within a minute, and rough")
    parser.add_argument("--runs", type=int, help="how often to measure each")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    parser.add_argument("--out", default=_RESULTS, help="where table, JSON and plot go")
    return parser.parse_args()


def _stopped(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _measure(wanted: list[Figure], given: argparse.Namespace, folder: str) -> int:
    peers = find(name for figure in wanted for name in figure.peers)
    programs = compile_all(folder)
    installation = install(f"{folder}/venv")
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    found = facts(installation, peers, command)
    if os.getloadavg()[0] > _BUSY * len(os.sched_getaffinity(0)):
        print(_BUSY_TEXT.format(os.getloadavg()[0]), file=sys.stderr)
    results = []
    for figure in wanted:
        print(f"{figure.name}: {figure.says}", file=sys.stderr, flush=True)
        result = _take(figure, Bench(given.quick, given.runs, programs, installation, peers))
        print(f"  {result.missing or f'{result.took_s:.0f} s'}", file=sys.stderr, flush=True)
        results.append(result)
    found["load_after"] = f"{os.getloadavg()[0]:.2f}"
    _write(results, found, given)
    return 1 if any(result.missing for result in results) else 0


def _take(figure: Figure, bench: Bench) -> Result:
    result = Result(figure)
    began = time.monotonic()
    try:
        with bench:
            result.rows = figure.run(bench)
    except Unavailable as error:
        result.missing = str(error)
    except Exception as error:  # noqa: BLE001 # the other figures are worth having
        traceback.print_exc()
        result.missing = f"it failed: {error!r}"
    result.took_s = time.monotonic() - began
    return result


def _write(results: list[Result], found: dict[str, object], given: argparse.Namespace) -> None:
    from bench.plot import draw

    os.makedirs(given.out, exist_ok=True)
    name = f"{given.out}/{'quick' if given.quick else 'figures'}"
    table = as_markdown(results, found)
    data = as_json(results, found)
    for suffix, text in (("md", table), ("json", data)):
        with open(f"{name}.{suffix}", "w", encoding="utf-8") as file:
            file.write(f"{text}\n")
    draw(results, f"{name}.svg", f"{name}.png")
    print(data if given.json else table)
    print(f"written: {name}.md, .json, .svg, .png", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
