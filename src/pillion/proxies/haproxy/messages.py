"""Reads what HAProxy says about a configuration, so that an error can be told with the line of the template that it comes from."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

import msgspec

from pillion.proxies.driver import Place

Severity: TypeAlias = Literal["alert", "warning"]
MESSAGES_MOST = 50
"""Messages that are kept; of a broken file the first ones say what matters."""
MESSAGE_CHARS = 600

# `[ALERT]    (14622) : config : parsing [a.cfg:26] : unknown keyword`; before 2.5 with day and time between.
_HEAD = re.compile(r"\[(ALERT|WARNING|NOTICE|DIAG)\]\s+(?:\S+ )?\((\d+)\) : (.*)\Z")
_BRACKETED = re.compile(r"\[([^\[\]\s]+):(\d+)\]")
_BARE = re.compile(r"(?:^| )(/[^\s:]+|[^\s:\[\]]+\.cfg):(\d+)\b")
_LEAD = re.compile(r"(?:config : )?(?:parsing )?(?:\[[^\[\]\s]+:\d+\]|\S+:\d+)\s*:\s*")
_RELOADING = " : Reloading HAProxy"
# What HAProxy adds to say that there was something above.
_SUMMARIES = (
    "Error(s) found in configuration file",
    "Fatal errors found in configuration",
    "Loading failure!",
    "Failed to initialize server(s) addr",
    "Some protocols failed to start their listeners",
    "Some configuration options require full privileges",
)


class Message(msgspec.Struct, frozen=True):
    """One message of HAProxy's: `place.file` as it stands in its output."""

    severity: Severity
    place: Place


def read_messages(output: str, directory: str = "") -> tuple[Message, ...]:
    """The alerts and warnings in `output`, at most `MESSAGES_MOST`, alerts first and otherwise in their order.

    Continued lines (`   | …`) are joined. A file below `directory` is named relative to it.
    """
    found: list[tuple[Severity, list[str]]] = []
    current: list[str] | None = None
    for line in output.splitlines():
        head = _HEAD.match(line.strip())
        if head is None:
            if current is not None and line.startswith((" ", "\t")):
                current.append(line.strip().removeprefix("|").strip())
            continue
        current = None
        if head[1] in ("ALERT", "WARNING"):
            current = [head[3].strip()]
            found.append(("alert" if head[1] == "ALERT" else "warning", current))
    messages = [Message(severity, _place(" ".join(parts), directory)) for severity, parts in found]
    ordered = sorted(messages, key=lambda one: one.severity != "alert")
    return tuple(ordered[:MESSAGES_MOST])


def alerts(output: str, directory: str = "") -> tuple[Place, ...]:
    """What is wrong, without HAProxy's own summaries; the summaries when there is nothing else."""
    all_of_them = [one.place for one in read_messages(output, directory) if one.severity == "alert"]
    plain = [
        place for place in all_of_them if not any(text in place.message for text in _SUMMARIES)
    ]
    return tuple(plain or all_of_them)


def since_reload(words: str) -> str:
    """What was said since the last reload began, when that is among `words`: an earlier load's troubles are its own."""
    begin = words.rfind(_RELOADING)
    return words if begin < 0 else words[words.rfind("\n", 0, begin) + 1 :]


def _place(text: str, directory: str) -> Place:
    found = _BRACKETED.search(text) or _BARE.search(text)
    if found is None:
        return Place("", 0, text.removeprefix("config : ")[:MESSAGE_CHARS])
    file = found[1]
    if directory and file.startswith(directory.rstrip("/") + "/"):
        file = file[len(directory.rstrip("/")) + 1 :]
    message = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text.removeprefix("config : ")
    return Place(file.removeprefix("./"), int(found[2]), message[:MESSAGE_CHARS])
