"""An instance of Pillion for a figure: in directories of its own, found by its API, ended in order."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from bench import api
from bench.workbench import Bench, end, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

_READY_S = 30.0


class Instance:
    """`pillion run` with `command`; `settings` are `a.b=v` pairs, without any of which no settings parser runs."""

    def __init__(
        self,
        bench: Bench,
        command: Sequence[str],
        *,
        settings: Sequence[str] = (),
        state: str | None = None,
        cpus: set[int] | None = None,
        beside: Instance | None = None,
    ) -> None:
        self.bench = bench
        self.base = bench.fresh("i")
        # A neighbour shares the directories of the other, as on one host.
        self.name: str = "app" if beside is None else f"{beside.name}-b"
        self.state = state or f"{self.base}/s"
        self.runtime: str = f"{self.base}/r" if beside is None else beside.runtime
        options = [word for setting in settings for word in ("--set", setting)]
        self.process = bench.spawn(
            [bench.installation.pillion, "run", "--name", self.name, *options, "--", *command],
            env=self.env,
            cpus=cpus,
        )

    @property
    def env(self) -> dict[str, str]:
        """What tells a command of Pillion's to look here."""
        return {"PILLION_RUNTIME_DIR": self.runtime, "PILLION_STATE_DIR": self.state}

    @property
    def socket(self) -> str:
        """The API's Unix socket."""
        return f"{self.runtime}/{self.name}/api.sock"

    @property
    def spool(self) -> str:
        """Where the output of all runs is."""
        return f"{self.state}/{self.name}/spool"

    @property
    def run(self) -> str:
        """The id of the run."""
        return str(self._facts()["run"])

    @property
    def port(self) -> int:
        """The port of the API on loopback."""
        return int(str(self._facts()["url"]).rpartition(":")[2])

    @property
    def token(self) -> str:
        """The app's token."""
        with open(f"{self.runtime}/{self.name}/token", encoding="ascii") as file:
            return file.read().strip()

    def _facts(self) -> dict[str, Any]:
        with open(f"{self.runtime}/{self.name}/instance.json", encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
            return found

    def components(self) -> dict[str, dict[str, Any]]:
        """Every component by name, as the API tells it."""
        return {one["name"]: one for one in api.ask(self.socket, "/v1/components")["items"]}

    def pid(self, component: str) -> int:
        """The pid of a component."""
        return int(self.components()[component]["pid"])

    def wait_ready(self) -> None:
        """Wait until every component runs and is ready."""
        wait_for(self._is_ready, f"pillion run is ready (see {self.base})", _READY_S)

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            with open(
                f"{self.bench.folder}/stderr.txt", encoding="utf-8", errors="replace"
            ) as file:
                raise RuntimeError(
                    f"pillion run ended with {self.process.returncode}: {file.read()[-2000:]}"
                )
        try:
            found = self.components()
        except OSError:
            return False
        return "app" in found and all(
            one["state"] == "running" and one["ready"] for one in found.values()
        )

    def command(self, *words: str, timeout_s: float = 60.0) -> str:
        """Run a command of Pillion's against the instance and return what it prints."""
        done = subprocess.run(
            [self.bench.installation.pillion, *words, "--instance", self.name],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"pillion {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def stop(self) -> None:
        """End it in order."""
        end(self.process)
