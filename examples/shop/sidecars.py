"""The services of the shop, each under `pillion run`, and what the other commands of Pillion say about them."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PILLION = Path(sys.executable).with_name("pillion")


class DemoFailed(Exception):
    """The demo did not show what it promises; the text says what, and where to look."""


class Service:
    """One service with its sidecar, from the folder of its name or another. `settings` are put over its pillion.toml."""

    def __init__(self, name: str, port: int, base: Path, settings: dict[str, str], folder: str = "") -> None:
        self.name = name
        self.folder = folder or name
        self.port = port
        self.output = base / f"{name}.out"
        self._environment = {**os.environ, "PILLION_RUNTIME_DIR": str(base / "run"), "PILLION_STATE_DIR": str(base / "state")}
        # The demo shows the logs itself, from the spool.
        self._settings = {"app.port": str(port), "app.env.PORT": str(port), "logs.mirror": "false", **settings}
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the keeper, which starts everything else."""
        command = [str(PILLION), "run", "--name", self.name, "--settings", "pillion.toml"]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        with self.output.open("wb") as output:
            self._keeper = subprocess.Popen(
                command,
                cwd=HERE / self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo, which stops the services in order.
                start_new_session=True,
            )

    def wait_until_ready(self, within_s: float) -> None:
        """Return when the app is ready and its agent answers."""
        deadline = time.monotonic() + within_s
        said = "it said nothing"
        while time.monotonic() < deadline:
            self.expect_alive()
            done = self.pillion("status", "--json")
            if done.returncode == 0:
                status = json.loads(done.stdout)
                if status["app"].get("ready") and self._component(status, "agent")["state"] == "running":
                    return
                said = ", ".join(f"{one['name']} {one['state']}" for one in status["components"])
                said += "; the app is ready" if status["app"].get("ready") else "; the app is not ready"
            else:
                said = done.stderr.strip() or said
            time.sleep(0.1)
        raise DemoFailed(f"{self.name} was not ready within {within_s:g} s; the last status was: {said}{self._last_output()}")

    def expect_alive(self) -> None:
        """Raise DemoFailed when the keeper has ended."""
        assert self._keeper is not None
        if (code := self._keeper.poll()) is not None:
            raise DemoFailed(f"{self.name} ended by itself with code {code}{self._last_output()}")

    def component(self, name: str) -> dict[str, object]:
        """A component as `pillion status` has it: pid, state, restarts."""
        done = self.pillion("status", "--json")
        if done.returncode != 0:
            raise DemoFailed(f"pillion status of {self.name} failed: {done.stderr.strip()}")
        return self._component(json.loads(done.stdout), name)

    def pillion(self, verb: str, *words: str, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a command of Pillion for this instance."""
        return subprocess.run(
            [str(PILLION), verb, *words, "--instance", self.name],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def stop(self, within_s: float = 20.0) -> int:
        """Stop it in order, as systemd or a container runtime would, and return its exit code."""
        assert self._keeper is not None
        self._keeper.terminate()
        try:
            return self._keeper.wait(within_s)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
            raise DemoFailed(f"{self.name} did not stop within {within_s:g} s{self._last_output()}") from None

    @property
    def started(self) -> bool:
        """Whether there is a keeper to stop."""
        return self._keeper is not None and self._keeper.poll() is None

    def _last_output(self) -> str:
        lines = self.output.read_text(errors="replace").splitlines()[-10:]
        return "".join(f"\n    {self.name}: {line}" for line in lines)

    def _component(self, status: dict[str, object], name: str) -> dict[str, object]:
        components = status["components"]
        assert isinstance(components, list)
        for one in components:
            if one["name"] == name:
                return dict(one)
        raise DemoFailed(f"{self.name} has no component {name}; it has {', '.join(one['name'] for one in components)}")


def shown(verb: str, *words: str) -> str:
    """A command as the reader would type it."""
    return "$ " + shlex.join(["pillion", verb, *words])
