"""What Pillion raises on purpose, in one tree, so that a command can tell a refusal from a bug.

    PillionError                 the text begins with "cannot" and ends with a remedy
    ├── UsageError               the command line asks for what cannot be: exit code 2
    ├── UnreachableError         nobody answers at the other end: commands fall back to the keeper
    └── RefusedError             the other end answered, and said no: status, title and detail

A class exists only where somebody catches it differently. A failed probe is a value, a bug is an
assertion, and cancellation is neither. Settings that do not hold have an error of their own beside this
tree, `pillion.settings.SettingsError`, which carries every problem.
"""

from __future__ import annotations


class PillionError(Exception):
    """The root of the tree; `str(error)` is one clear line for people, with culprit and remedy."""


class UsageError(PillionError):
    """What was asked for is not possible as written; commands end with exit code 2."""


class UnreachableError(PillionError):
    """The agent, the keeper or another peer is not there, or did not answer in time."""


class RefusedError(PillionError):
    """A peer's clear no, in the terms of problem details (RFC 9457).

    `status` is an HTTP status code, also where the peer spoke no HTTP; `title` names the kind of
    problem, `detail` says what to do about this one.
    """

    def __init__(self, status: int, title: str, detail: str = "") -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail
