"""How the demo shows what it does: each command as a reader would type it, and what it says."""

import subprocess
import time

from sidecars import DemoFailed, Service, shown

_WIDTH = 160


def done(service: Service, verb: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of Pillion that must succeed. Raises DemoFailed with what it said."""
    ended = service.pillion(verb, *words)
    if ended.returncode != 0:
        said = ended.stderr.strip() or ended.stdout.strip()
        raise DemoFailed(f"pillion {verb} of {service.name} ended with {ended.returncode}: {said}")
    return ended


def perform(service: Service, verb: str, *words: str) -> None:
    """Show a command as it would be typed, run it, and show what it says."""
    title(shown(verb, *words, "--instance", service.name))
    show(done(service, verb, *words))


def title(text: str) -> None:
    """A line above what follows."""
    line = f"── {text} "
    print("\n" + line + "─" * max(0, 100 - len(line)), flush=True)


def show(ended: "subprocess.CompletedProcess[str]") -> None:
    """What a command has said, long lines shortened."""
    for line in ended.stdout.splitlines():
        print(line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…")
    if ended.stderr.strip():
        print(ended.stderr.strip())


def open_service(service: Service) -> None:
    """Start a service and wait until it is ready."""
    name = "" if service.name == service.folder else f"--name {service.name} "
    title(f"cd examples/shop/{service.folder}; pillion run {name}--settings pillion.toml")
    began = time.monotonic()
    service.start()
    service.wait_until_ready(30)
    print(f"{service.name} is ready on port {service.port}, {time.monotonic() - began:.1f} s after its start")
