"""What the agent may add to the app's environment, and that a keeper's upgrade keeps it."""

from __future__ import annotations

import pytest

from pillion.keeper.app import ENVIRONMENT_BYTES, checked_variables


def test_variables_are_taken_as_they_are() -> None:
    env = {"A": "1", "b.c": "", "PATH": "/x é\n"}
    assert checked_variables(env) == env  # type: ignore[arg-type] # a dict of strings is JSON
    assert checked_variables({}) == {}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "no variables"),
        (["A=1"], "no variables"),
        ({"": "x"}, "cannot name a variable"),
        ({"A=B": "x"}, "cannot name a variable"),
        ({"A\0": "x"}, "cannot name a variable"),
        ({"A": 1}, "A is no text"),
        ({"A": "x\0y"}, "A is no text"),
        ({"A": "\ud800"}, "surrogates not allowed"),
        ({"A": "x" * ENVIRONMENT_BYTES}, "bytes are more than"),
    ],
)
def test_what_execve_cannot_pass_is_refused(given: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        checked_variables(given)  # type: ignore[arg-type] # that is the point
