"""`pillion init`: a commented pillion.toml from what is found, so that nobody starts from an empty file or from a manual."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pillion.cli.project_files import LOOKED_FOR, Start, choices, found_start
from pillion.errors import PillionError
from pillion.settings import parse
from pillion.settings.writing import commented

if TYPE_CHECKING:
    import argparse

NAME = "init"
SUMMARY = "write a commented pillion.toml from what is found here"

FILE = "pillion.toml"
_LARGEST_READ = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument(
        "directory",
        nargs="?",
        default=".",
        metavar="DIRECTORY",
        help="where the program is (default: here)",
    )
    parser.add_argument("--force", action="store_true", help=f"replace a {FILE} that is there")
    parser.add_argument("--stdout", action="store_true", help="print it instead of writing it")


def run(args: argparse.Namespace) -> int:
    """Write the file, or print it. 0 done; raises PillionError when it cannot be written."""
    directory = os.path.abspath(args.directory)
    if not os.path.isdir(directory):
        raise PillionError(
            f"cannot look into {args.directory}: not a directory; name the one with the program"
        )
    start = found_start(_texts(directory), os.path.basename(directory))
    text = settings_text(start)
    if args.stdout:
        sys.stdout.write(text)
        return 0
    path = os.path.join(args.directory, FILE)
    _write(path, text, force=args.force)
    sys.stdout.write(f"wrote {path}: {_told(start)}\n")
    sys.stdout.write(f"next: pillion check {path}, then pillion run --settings {path}\n")
    return 0


def settings_text(start: Start) -> str:
    """The file for a start: valid by construction, and checked."""
    heading = "Settings of Pillion. What is commented out shows the default, or an example where there is none.\n"
    heading += f"Found: {_told(start)}."
    text = commented(choices(start), heading)
    parse(text)
    return text


def _told(start: Start) -> str:
    if not start.command:
        return f"no command for {start.name}; set app.command, or give one after `pillion run --`"
    return f"how to start {start.name}, in {start.source}"


def _texts(directory: str) -> dict[str, str]:
    texts = {}
    for name in LOOKED_FOR:
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                texts[name] = file.read(_LARGEST_READ)
        except OSError:
            # Not there, or not to be read: the other files may say it.
            continue
    return texts


def _write(path: str, text: str, *, force: bool) -> None:
    try:
        with open(path, "w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise PillionError(
            f"cannot write {path}: it is there already; --force replaces it, --stdout shows what would be written"
        ) from error
    except OSError as error:
        raise PillionError(
            f"cannot write {path}: {error.strerror}; --stdout prints it instead"
        ) from error
