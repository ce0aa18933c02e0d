"""Which ways through some files a call has taken: what tells a fuzz input that is new from one that is not."""

import sys
from collections.abc import Callable, Iterable
from types import CodeType, FrameType
from typing import Any

_BUCKETS = (1, 2, 3, 4, 8, 16, 32, 128)


class Coverage:
    """Traces calls; `edges` are steps from a line to the next one, with how often, in powers of two."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = frozenset(files)
        self._lines: set[tuple[str, int]] = set()
        self._steps: dict[tuple[str, int, int], int] = {}

    def run(self, call: Callable[[], object]) -> set[object]:
        """Return the features of `call`: its edges, and what it returned. What it raises goes on."""
        self._steps = {}
        sys.settrace(self._enter)
        try:
            outcome = call()
        finally:
            sys.settrace(None)
        self._lines.update((file, line) for file, _, line in self._steps)
        features: set[object] = {
            (*step, next((b for b in reversed(_BUCKETS) if count >= b), 1))
            for step, count in self._steps.items()
        }
        features.add(outcome)
        return features

    def share(self) -> float:
        """Return which share of the lines in the files' functions has been run."""
        wanted = {(file, line) for file in self._files for line in _lines_of(file)}
        return len(wanted & self._lines) / len(wanted)

    def missed(self) -> list[str]:
        """Return the lines that were never run, as file:line."""
        wanted = {(file, line) for file in self._files for line in _lines_of(file)}
        return [f"{file}:{line}" for file, line in sorted(wanted - self._lines)]

    def _enter(self, frame: FrameType, event: str, arg: object) -> Any:
        file = frame.f_code.co_filename
        if file not in self._files:
            return None
        steps = self._steps
        before = frame.f_code.co_firstlineno

        def step(inner: FrameType, what: str, _arg: object) -> Any:
            nonlocal before
            if what == "line":
                key = (file, before, inner.f_lineno)
                steps[key] = steps.get(key, 0) + 1
                before = inner.f_lineno
            return step

        return step


def _lines_of(file: str) -> set[int]:
    with open(file, encoding="utf-8") as stream:
        top = compile(stream.read(), file, "exec")
    found: set[int] = set()
    waiting = [code for code in top.co_consts if isinstance(code, CodeType)]
    while waiting:
        code = waiting.pop()
        waiting += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        if code.co_flags & 2:  # a function (CO_NEWLOCALS), not the body of a class
            lines = {line for _, _, line in code.co_lines() if line}
            found |= lines - {code.co_firstlineno}
    return found
