"""The completion script for bash. Plain bash 4: the bash-completion package need not be there."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from pillion.cli.completion_shape import DIRECTORY, FILE, LISTED, PROGRAM, CommandShape, Values

if TYPE_CHECKING:
    from collections.abc import Sequence

_FRAME = """\
# Completion of pillion for bash: source <(pillion completion bash)

_pillion_reply() {
    # $1 kind, $2 words, $3 what is typed so far
    case $1 in
        file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$3") ;;
        directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$3") ;;
        program) mapfile -t COMPREPLY < <(compgen -c -- "$3" | sort -u) ;;
        instances|components|settings|limits|proxies)
            [[ $1 == settings || $1 == limits ]] && compopt -o nospace 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" completion --list "$1" 2>/dev/null)" -- "$3") ;;
        words) mapfile -t COMPREPLY < <(compgen -W "$2" -- "$3") ;;
    esac
}

_pillion() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= word= skip= at= valued= place=0
    COMPREPLY=()
    # bash takes --option=value for three words.
    if [[ $current == "=" ]]; then
        current=
    elif [[ $before == "=" ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${COMP_WORDS[at]}
        if [[ $word == "--" ]]; then
            if ((at + 1 == COMP_CWORD)); then _pillion_reply program "" "$current"; else _pillion_reply file "" "$current"; fi
            return
        fi
        if [[ -n $skip ]]; then
            [[ $word == "=" ]] || skip=
        elif [[ $word == -* ]]; then
            [[ " $valued " == *" $word "* ]] && skip=1
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

complete -F _pillion pillion
"""


def bash_script(shape: Sequence[CommandShape]) -> str:
    """The script for a command line of this shape; commands named in it need no further look-up."""
    valued = []
    commands = []
    for command in shape:
        taking = " ".join(
            name for option in command.options if option.values is not None for name in option.names
        )
        if command.name and taking:
            valued.append(f"                {command.name}) valued={shlex.quote(taking)} ;;")
        commands += _command(command, shape)
    return _FRAME.replace("@valued@", "\n".join(valued)).replace("@commands@", "\n".join(commands))


def _command(command: CommandShape, shape: Sequence[CommandShape]) -> list[str]:
    lines = [f"        {command.name or chr(34) * 2})"]
    cases = [option for option in command.options if option.values is not None]
    if cases:
        lines.append("            case $before in")
        for option in cases:
            assert option.values is not None
            lines.append(
                f"                {'|'.join(option.names)}) {_reply(option.values)}; return ;;"
            )
        lines.append("            esac")
    names = " ".join(name for option in command.options for name in option.names)
    if not command.name:
        names += " " + " ".join(one.name for one in shape if one.name)
        lines.append(f"            {_reply(Values(words=tuple(names.split())))} ;;")
        return lines
    lines.append(
        f'            if [[ $current == -* ]]; then _pillion_reply words {shlex.quote(names)} "$current"; return; fi'
    )
    lines.append("            case $place in")
    for place, values in enumerate(command.positionals):
        pattern = "*" if place == len(command.positionals) - 1 else str(place)
        lines.append(f"                {pattern}) {_reply(values)} ;;")
    lines.append("            esac ;;")
    return lines


def _reply(values: Values) -> str:
    if values.words:
        return f'_pillion_reply words {shlex.quote(" ".join(values.words))} "$current"'
    if values.kind in (FILE, DIRECTORY, PROGRAM, *LISTED):
        return f'_pillion_reply {values.kind} "" "$current"'
    return ":"
