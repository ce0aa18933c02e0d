"""JSON for programs: one document, or one object per line where something follows."""

from __future__ import annotations

import sys

import msgspec


def print_json(value: object) -> None:
    """Print `value` as one indented document."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.write(text + "\n")


def print_json_line(value: object) -> None:
    """Print `value` in one line, at once."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()
