"""The completion script for fish, with the help beside each candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.cli.completion_shape import (
    DIRECTORY,
    FILE,
    LISTED,
    PROGRAM,
    CommandShape,
    Option,
    Values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_FRAME = """\
# Completion of pillion for fish: pillion completion fish | source

function __pillion_place
    # Which positional argument is being typed: options and their values do not count.
    set -l words (commandline -opc)
    set -e words[1]
    set -l place -2
    set -l skip 0
    for word in $words x
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $word
            contains -- $word $argv[2..]; and set skip 1
        else
            set place (math $place + 1)
        end
    end
    test $place = $argv[1]
end

complete -c pillion -f
"""


def fish_script(shape: Sequence[CommandShape]) -> str:
    """The script for a command line of this shape."""
    lines = [_FRAME]
    for command in shape:
        if not command.name:
            lines += [_option(option, "__fish_use_subcommand") for option in command.options]
            continue
        lines.append(
            f"complete -c pillion -n __fish_use_subcommand -a {command.name} -d {_quote(command.help)}"
        )
        seen = f"__fish_seen_subcommand_from {command.name}"
        lines += [_option(option, seen) for option in command.options]
        lines += _positionals(command, seen)
    return "\n".join(lines) + "\n"


def _option(option: Option, condition: str) -> str:
    names = " ".join(
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    )
    line = f"complete -c pillion -n {_quote(condition)} {names} -d {_quote(option.help)}"
    return line if option.values is None else f"{line} {_values(option.values)}"


def _positionals(command: CommandShape, seen: str) -> list[str]:
    taking = [
        name for option in command.options if option.values is not None for name in option.names
    ]
    lines = []
    for place, values in enumerate(command.positionals):
        if not values.words and not values.kind:
            continue
        last = place == len(command.positionals) - 1
        # The last one may repeat.
        here = (
            seen
            if last and place == 0
            else f"{seen}; and __pillion_place {place} {' '.join(taking)}".rstrip()
        )
        if last and place > 0:
            here = f"{seen}; and not __pillion_place 0 {' '.join(taking)}".rstrip()
        lines.append(f"complete -c pillion -n {_quote(here)} {_values(values)}")
    return lines


def _values(values: Values) -> str:
    if values.words:
        return f"-x -a {_quote(' '.join(values.words))}"
    if values.kind in LISTED:
        return f"-x -a {_quote(f'(pillion completion --list {values.kind} 2>/dev/null)')}"
    kinds = {
        FILE: "-r -F",
        DIRECTORY: "-x -a '(__fish_complete_directories)'",
        PROGRAM: "-F -a '(__fish_complete_command)'",
    }
    return kinds.get(values.kind, "-x")


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
