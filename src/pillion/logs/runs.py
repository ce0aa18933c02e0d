"""Which runs and streams the spool of an instance holds, and what each run was."""

from __future__ import annotations

import os

import msgspec

SPOOL = "spool"
RUN_FILE = "run.json"


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` tells: resource attributes for what is shipped later. Every field may be missing."""

    service: str = ""
    instance: str = ""
    host: str = ""
    command: list[str] = []
    started: str = ""
    pid: int | None = None


def runs(state_dir: str) -> list[str]:
    """Return the ids of the runs that have a spool, oldest first; none when there is no spool to list."""
    spool = f"{state_dir}/{SPOOL}"
    try:
        with os.scandir(spool) as entries:
            # A run id sorts by time.
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def run_dir(state_dir: str, run: str) -> str:
    """Return the directory that holds the streams of `run`."""
    return f"{state_dir}/{SPOOL}/{run}"


def streams(state_dir: str, run: str) -> list[str]:
    """Return the names of the streams that `run` has, sorted."""
    try:
        with os.scandir(run_dir(state_dir, run)) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def stream_dir(state_dir: str, run: str, stream: str) -> str:
    """Return the directory that holds the segments of a stream."""
    return f"{state_dir}/{SPOOL}/{run}/{stream}"


def run_info(state_dir: str, run: str) -> RunInfo:
    """Return what is known of `run`; an empty answer when its `run.json` is missing or damaged."""
    try:
        with open(f"{run_dir(state_dir, run)}/{RUN_FILE}", "rb") as file:
            return msgspec.json.decode(file.read(1 << 20), type=RunInfo, strict=False)
    except (OSError, msgspec.DecodeError):
        return RunInfo()
