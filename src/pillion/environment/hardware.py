"""Processors and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.environment.facts import Memory

if TYPE_CHECKING:
    from pillion.base.host_files import Files

# x86 says "model name", s390 and others "processor", ARM boards "Hardware" or "Model".
_MODEL_KEYS = ("model name", "cpu model", "cpu", "hardware", "model")
_MOST_CPUS = 8192


def parse_cpu_model(text: str) -> str | None:
    """The processor's name, from the text of /proc/cpuinfo."""
    told: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            told.setdefault(name.strip().lower(), value.strip())
    return next((told[key] for key in _MODEL_KEYS if key in told), None)


def parse_cpu_list(text: str) -> list[int] | None:
    """The numbers of a list such as `0-3,8` (cpuset(7)); None when it is none."""
    found: list[int] = []
    for part in text.strip().split(","):
        low, dash, high = part.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            return None
        first, last = int(low), int(high or low)
        if last - first >= _MOST_CPUS or len(found) > _MOST_CPUS:
            return None
        found.extend(range(first, last + 1))
    return found


def parse_memory(text: str, limit: int | None) -> Memory:
    """The host's memory, from the text of /proc/meminfo, whose kB are KiB."""
    told: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        number = value.split()
        if number and number[0].isdigit():
            told[name] = int(number[0]) * 1024
    total = told.get("MemTotal")
    return Memory(
        total=total,
        available=told.get("MemAvailable"),
        swap_total=told.get("SwapTotal"),
        swap_free=told.get("SwapFree"),
        limit=limit if limit is None or total is None or limit < total else None,
    )


def online_cpus(files: Files) -> list[int] | None:
    """The processors that are online."""
    return parse_cpu_list(files.text("/sys/devices/system/cpu/online"))
