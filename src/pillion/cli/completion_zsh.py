"""The completion script for zsh, with the help beside each candidate."""

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
#compdef pillion
# Completion of pillion for zsh: source <(pillion completion zsh), or save it as _pillion in a directory of $fpath

_pillion_listed() {
    local -a listed
    listed=(${(f)"$(${words[1]} completion --list $1 2>/dev/null)"})
    if [[ $1 == settings || $1 == limits ]]; then compadd -S '' -a listed; else compadd -a listed; fi
}

_pillion() {
    local command word before skip
    local -a valued candidates
    integer at place=0
    before=${words[CURRENT-1]}
    if [[ $PREFIX == --*=* ]]; then
        before=${PREFIX%%=*}
        compset -P '*='
    fi
    for ((at = 2; at < CURRENT; at++)); do
        word=${words[at]}
        if [[ $word == -- ]]; then
            if ((at + 1 == CURRENT)); then _command_names -e; else _files; fi
            return
        fi
        if [[ -n $skip ]]; then
            skip=
        elif [[ $word == -* ]]; then
            (( ${valued[(Ie)$word]} )) && skip=1
        elif [[ -z $command ]]; then
            command=$word
            case $command in
@valued@
            esac
        else
            ((place++))
        fi
    done
    case $command in
@commands@
    esac
}

if [[ $funcstack[1] == _pillion ]]; then _pillion "$@"; else compdef _pillion pillion; fi
"""


def zsh_script(shape: Sequence[CommandShape]) -> str:
    """The script for a command line of this shape."""
    valued = []
    commands = []
    for command in shape:
        taking = " ".join(
            name for option in command.options if option.values is not None for name in option.names
        )
        if command.name and taking:
            valued.append(f"                {command.name}) valued=({taking}) ;;")
        commands += _command(command, shape)
    return _FRAME.replace("@valued@", "\n".join(valued)).replace("@commands@", "\n".join(commands))


def _command(command: CommandShape, shape: Sequence[CommandShape]) -> list[str]:
    lines = [f"        {_quote(command.name)})"]
    cases = [option for option in command.options if option.values is not None]
    if cases:
        lines.append("            case $before in")
        for option in cases:
            assert option.values is not None
            lines.append(
                f"                {'|'.join(option.names)}) {_reply(option.values)}; return ;;"
            )
        lines.append("            esac")
    options = f"candidates=({' '.join(_described(option) for option in command.options)}); _describe option candidates"
    if not command.name:
        names = " ".join(_quote(f"{one.name}:{_text(one.help)}") for one in shape if one.name)
        lines.append(f"            if [[ $PREFIX == -* ]]; then {options}; return; fi")
        lines.append(f"            candidates=({names}); _describe command candidates ;;")
        return lines
    lines.append(f"            if [[ $PREFIX == -* ]]; then {options}; return; fi")
    lines.append("            case $place in")
    for place, values in enumerate(command.positionals):
        pattern = "*" if place == len(command.positionals) - 1 else str(place)
        lines.append(f"                {pattern}) {_reply(values)} ;;")
    lines.append("            esac ;;")
    return lines


def _reply(values: Values) -> str:
    if values.words:
        return f"compadd {' '.join(_quote(word) for word in values.words)}"
    if values.kind in LISTED:
        return f"_pillion_listed {values.kind}"
    return {FILE: "_files", DIRECTORY: "_files -/", PROGRAM: "_command_names -e"}.get(
        values.kind, ":"
    )


def _described(option: Option) -> str:
    return " ".join(_quote(f"{name}:{_text(option.help)}") for name in option.names)


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
