"""How long an app waits for its first instruction because of who starts it."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from bench.figure import PILLION, Figure, Row, Target
from bench.peers import CIRCUSD, SUPERVISORD, TINI
from bench.sampling import interleave, paired
from bench.workbench import Bench, end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_BARE = "the bare command"
_PYTHON = "python -I -S -c pass"
_HASTY = f"{PILLION}, not waiting"
_HASTY_SET = f"{PILLION}, not waiting, by --set"
_READY = f"{PILLION}, sidecar ready first"
_TARGETS = {_HASTY: Target(5), _HASTY_SET: Target(5), _READY: Target(20)}
_NOTES = {
    _HASTY: "the plan without settings, its wait set to 0: no settings parser is started",
    _HASTY_SET: "--set agent.wait=0s: a forked child parses the settings first",
    _READY: "as pillion run does by default",
}
_WITHIN_S = 30
# A TERM that reaches circusd between the start of its app and the end of its own start is lost on it.
_STARTED_S = {CIRCUSD: 0.5}


def run(bench: Bench) -> list[Row]:
    """Time every starter in turn."""
    start = Start(bench)
    subjects: dict[str, Callable[[], float]] = {
        _BARE: partial(start.bare),
        _PYTHON: partial(start.python),
        TINI: partial(start.peer, TINI),
        _HASTY: partial(start.pillion, start.hasty_command()),
        _HASTY_SET: partial(start.pillion, None, "--set", "agent.wait=0s"),
        _READY: partial(start.pillion, None),
        SUPERVISORD: partial(start.peer, SUPERVISORD),
        CIRCUSD: partial(start.peer, CIRCUSD),
    }
    samples = interleave(bench.runs(8, 2), subjects, warm_up=True)
    rows = [Row("start to the app's first act", name, "ms", got) for name, got in samples.items()]
    for name in (_HASTY, _HASTY_SET, _READY, TINI, SUPERVISORD, CIRCUSD):
        extra = paired(samples[name], samples[_BARE])
        ratios = [more / base for more, base in zip(extra, samples[_PYTHON], strict=True)]
        rows.append(
            Row(
                f"beyond the bare command, in `{_PYTHON}`",
                name,
                "times",
                ratios,
                _TARGETS.get(name),
                _NOTES.get(name, ""),
            )
        )
    return rows


class Start:
    """Starts the app, which reports the time of its first act through a FIFO, and ends it again."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.fifo = f"{bench.folder}/first"
        os.mkfifo(self.fifo)
        self.app = [bench.programs.first_act, self.fifo]

    def bare(self) -> float:
        """The command alone."""
        return self._first_act(self.app)

    def python(self) -> float:
        """The interpreter from its start to its end, with nothing to do."""
        command = [self.bench.installation.python, "-I", "-S", "-c", "pass"]
        began = time.monotonic_ns()
        subprocess.run(command, check=True)
        return (time.monotonic_ns() - began) / 1e6

    def peer(self, name: str) -> float:
        """Under a peer."""
        folder = self.bench.fresh(name)
        command = self.bench.peers.command(name, self.app, folder, f"{folder}/app.out")
        return self._first_act(command, cwd=folder, rest_s=_STARTED_S.get(name, 0.0))

    def pillion(self, command: str | None, *options: str) -> float:
        """Under `pillion run`, in directories of its own."""
        folder = self.bench.fresh("p")
        env = {"PILLION_RUNTIME_DIR": f"{folder}/r", "PILLION_STATE_DIR": f"{folder}/s"}
        pillion = command or self.bench.installation.pillion
        return self._first_act(
            [pillion, "run", "--name", "app", *options, "--", *self.app], env=env, cwd=folder
        )

    def hasty_command(self) -> str:
        """A copy of the command whose plan without settings has no wait: there is no option for that without the parser."""
        with open(self.bench.installation.pillion, encoding="utf-8") as file:
            text = file.read()
        last = "from pillion.cli.entry import main\n"
        patched = (
            "from pillion.keeper import plan\n"
            "usual = plan.default_plan\n"
            "def hasty(command, name):\n"
            "    made = usual(command, name)\n"
            '    made["agent"]["wait_s"] = 0.0\n'
            "    return made\n"
            "plan.default_plan = hasty\n"
        )
        assert text.count(last) == 1, "scripts/pillion has changed; change this figure with it"
        path = f"{self.bench.installation.pillion}-hasty"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(last, patched + last))
        os.chmod(path, 0o755)
        return path

    def _first_act(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        rest_s: float = 0.0,
    ) -> float:
        fifo = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            began = time.monotonic_ns()
            process = self.bench.spawn(command, env=env, cwd=cwd)
            try:
                if not select.select([fifo], [], [], _WITHIN_S)[0]:
                    raise TimeoutError(f"no first act within {_WITHIN_S} s: {' '.join(command)}")
                acted = int.from_bytes(os.read(fifo, 8), sys.byteorder)
                time.sleep(rest_s)
            finally:
                end(process)
        finally:
            os.close(fifo)
        return (acted - began) / 1e6


FIGURE = Figure(
    name="start",
    says="Time from starting the supervisor to the first act of the app.",
    target="not waiting for the sidecar at most 5 times `python -I -S -c pass` more than the bare command; "
    "sidecar ready first at most 20 times",
    run=run,
    peers=(TINI, SUPERVISORD, CIRCUSD),
    caveats=(
        "tini supervises nothing and keeps no output; the others start the app without anything to be ready first.",
    ),
)
