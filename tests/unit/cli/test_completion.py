"""Completion as the shells themselves carry it out: bash, zsh and fish are run, with a pillion that only knows candidates."""

import argparse
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pillion.cli import completion
from pillion.cli.completion_bash import bash_script
from pillion.cli.completion_fish import fish_script
from pillion.cli.completion_shape import CommandShape, shape_of
from pillion.cli.completion_zsh import zsh_script
from pillion.errors import UsageError

# A pillion that answers `completion --list`, so that the scripts are tested alone.
_STUB = """#!/bin/sh
case "$3" in
    instances) printf 'shop\\nshop-2\\n' ;;
    components) printf 'app\\nagent\\nshipper\\n' ;;
    settings) printf 'app.port=\\napp.name=\\n' ;;
    limits) printf 'memory=\\ncpu=\\n' ;;
esac
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pillion")
    parser.add_argument("--version", action="version", version="1")
    commands = parser.add_subparsers(dest="command")
    run = commands.add_parser("run", help="run a command: it's the job")
    run.add_argument("--settings", metavar="FILE")
    run.add_argument("--set", metavar="a.b=v", action="append", help="override 100%% of it")
    run.add_argument("command", nargs="*", metavar="-- COMMAND")
    logs = commands.add_parser("logs", help="show what the app wrote")
    logs.add_argument("--level", choices=("debug", "info", "warn"))
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("--instance", metavar="NAME")
    limits = commands.add_parser("limits", help="change limits")
    limits.add_argument("name", metavar="NAME")
    limits.add_argument("limits", metavar="KEY=VALUE", nargs="*")
    limits.add_argument("--instance", metavar="NAME")
    hidden = commands.add_parser("completion", help="print the completion")
    completion.add_arguments(hidden)
    return parser


SHAPE = shape_of(_parser())


def _need(shell: str) -> str:
    path = shutil.which(shell)
    assert path, f"{shell} is missing; apt-get install -y --no-install-recommends {shell}"
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the stub in bin/, and files to complete."""
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "pillion"
    stub.write_text(_STUB)
    stub.chmod(0o755)
    (tmp_path / "pillion.toml").write_text("")
    (tmp_path / "pictures").mkdir()
    return tmp_path


def _environment(place: Path) -> dict[str, str]:
    return {
        "PATH": f"{place}/bin:{os.environ['PATH']}",
        "HOME": str(place),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


# What is typed, the last word under the cursor; what must be offered among the rest; what must not.
CASES = [
    (["", ""], {"run", "logs", "limits", "completion"}, {"shop"}),
    (["", "lo"], {"logs"}, {"run"}),
    (["", "--v"], {"--version"}, {"run"}),
    (["", "logs", "--"], {"--level", "--follow", "--instance"}, {"--settings"}),
    (["", "logs", "--level", ""], {"debug", "info", "warn"}, {"--follow"}),
    (["", "logs", "--level", "w"], {"warn"}, {"info"}),
    (["", "logs", "--instance", ""], {"shop", "shop-2"}, {"app"}),
    (["", "limits", "a"], {"app", "agent"}, {"shop"}),
    (["", "limits", "--instance", "shop", "ag"], {"agent"}, {"app"}),
    (["", "limits", "app", "m"], {"memory="}, {"app"}),
    (["", "limits", "app", "memory=1G", "c"], {"cpu="}, {"app"}),
    (["", "run", "--set", "app."], {"app.port=", "app.name="}, set()),
    (["", "run", "--settings", "pi"], {"pillion.toml"}, {"run"}),
    (["", "completion", ""], {"bash", "zsh", "fish"}, {"--list"}),
    (["", "completion", "--"], {"--help"}, {"--list"}),
]
_IDS = [" ".join(words).strip() or "nothing" for words, _, _ in CASES]
_ZSH_IDS = [
    "lo",
    "logs --",
    "logs --level w",
    "limits --instance shop ag",
    "limits app m",
    "run --settings pi",
]


def _bash(place: Path, words: list[str]) -> set[str]:
    (place / "script").write_text(bash_script(SHAPE))
    line = " ".join(f"'{word}'" for word in ["pillion", *words[1:]])
    program = (
        f"source ./script; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _pillion; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    # compopt belongs to a real completion; outside of one bash complains, which the script expects.
    done = subprocess.run(
        [_need("bash"), "--norc", "-c", program],
        cwd=place,
        env=_environment(place),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(("words", "offered", "kept_back"), CASES, ids=_IDS)
def test_bash(place: Path, words: list[str], offered: set[str], kept_back: set[str]) -> None:
    found = _bash(place, words)
    assert offered <= found
    assert not kept_back & found


def test_bash_takes_an_option_with_equals_for_three_words(place: Path) -> None:
    assert _bash(place, ["", "logs", "--level", "=", "w"]) == {"warn"}
    assert _bash(place, ["", "logs", "--level", "="]) == {"debug", "info", "warn"}


def test_bash_offers_programs_and_then_files_after_two_hyphens(place: Path) -> None:
    assert "bash" in _bash(place, ["", "run", "--", "bas"])
    assert _bash(place, ["", "run", "--", "cat", "pic"]) == {"pictures"}


def test_bash_registers_the_function(place: Path) -> None:
    (place / "script").write_text(bash_script(SHAPE))
    program = "source ./script; complete -p pillion"
    done = subprocess.run(
        [_need("bash"), "--norc", "-c", program],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "complete -F _pillion pillion\n"


@pytest.mark.parametrize(("words", "offered", "kept_back"), CASES, ids=_IDS)
def test_fish(place: Path, words: list[str], offered: set[str], kept_back: set[str]) -> None:
    (place / "script.fish").write_text(fish_script(SHAPE))
    line = " ".join(["pillion", *words[1:]])
    done = subprocess.run(
        [_need("fish"), "--no-config", "-c", f"source script.fish; complete -C '{line}'"],
        cwd=place,
        env=_environment(place),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stderr == ""
    found = {row.partition("\t")[0] for row in done.stdout.splitlines()}
    assert offered <= found
    assert not kept_back & found


# zsh completes only at a prompt: it gets one in a pseudo terminal of its own, and notes what it offers.
_ZSHRC = """
PROMPT= RPROMPT=
autoload -U compinit; compinit -u -D
source ./script.zsh
compadd() {
    local -a offered
    builtin compadd -O offered "$@"
    print -rl -- $offered >>offers
    builtin compadd "$@"
}
listed() { zle complete-word; print END; exit 0 }
zle -N listed
bindkey '^I' listed
print READY
"""
_ZSH_AT_A_TERMINAL = """
zmodload zsh/zpty
zpty shell zsh -d -i
zpty -r -m shell seen '*READY*' || exit 3
zpty -w -n shell "$1"$'\\t'
zpty -r -m shell seen '*END*' || exit 4
"""


# Each takes half a second, for a shell with all of its completions: one case of each sort.
_ZSH_CASES = [case for case, name in zip(CASES, _IDS, strict=True) if name in _ZSH_IDS]


@pytest.mark.parametrize(("words", "offered", "kept_back"), _ZSH_CASES, ids=_ZSH_IDS)
def test_zsh(place: Path, words: list[str], offered: set[str], kept_back: set[str]) -> None:
    (place / "script.zsh").write_text(zsh_script(SHAPE))
    (place / ".zshrc").write_text(_ZSHRC)
    line = " ".join(["pillion", *words[1:]])
    done = subprocess.run(
        [_need("zsh"), "-f", "-c", _ZSH_AT_A_TERMINAL, "zsh", line],
        cwd=place,
        env=_environment(place),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = set((place / "offers").read_text().splitlines())
    assert offered <= found
    assert not kept_back & found


@pytest.mark.parametrize(
    ("shell", "write"), [("bash", bash_script), ("zsh", zsh_script), ("fish", fish_script)]
)
def test_every_shell_accepts_its_script(shell: str, write: object, place: Path) -> None:
    assert callable(write)
    (place / "script").write_text(write(SHAPE))
    done = subprocess.run(
        [_need(shell), "-n", "script"], cwd=place, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_shape_of_the_parser() -> None:
    by_name = {one.name: one for one in SHAPE}
    assert isinstance(by_name["logs"], CommandShape)
    level = next(one for one in by_name["logs"].options if "--level" in one.names)
    assert level.values is not None
    assert level.values.words == ("debug", "info", "warn")
    settings = next(one for one in by_name["run"].options if "--set" in one.names)
    assert settings.help == "override 100% of it"
    assert not any("--list" in one.names for one in by_name["completion"].options)


def test_candidates(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "instance.json").write_text("{}")
    monkeypatch.setenv("PILLION_RUNTIME_DIR", str(tmp_path))
    listed = {}
    for kind in ("instances", "components", "settings", "limits"):
        assert completion.run(argparse.Namespace(list=kind, shell=None)) == 0
        listed[kind] = capsys.readouterr().out.split()
    assert listed["instances"] == ["shop"]
    assert listed["components"] == ["app", "agent", "shipper", "ambassador"]
    assert {"app.port=", "app.restart.policy=", "logs.spool.size="} <= set(listed["settings"])
    assert "app.restart=" not in listed["settings"]
    assert listed["limits"] == ["memory=", "cpu=", "processes=", "open_files="]


def test_no_shell_is_bad_usage() -> None:
    with pytest.raises(UsageError, match="cannot tell for which shell"):
        completion.run(argparse.Namespace(list=None, shell=None))


def test_the_whole_command_line_is_in_every_script() -> None:
    from pillion.cli.main import COMMANDS, build_parser

    shape = shape_of(build_parser())
    assert {one.name for one in shape} == {"", *(command.name for command in COMMANDS)}
    for write in (bash_script, zsh_script, fish_script):
        script = write(shape)
        for command in shape:
            assert command.name in script
            for option in command.options:
                for name in option.names:
                    assert name.lstrip("-") in script
