"""Signals as people write them."""

from __future__ import annotations

import pytest

from pillion.cli.send_signal import signal_name
from pillion.errors import UsageError


@pytest.mark.parametrize("text", ["HUP", "hup", "SIGHUP", "sighup", "1"])
def test_a_signal_has_one_name(text: str) -> None:
    assert signal_name(text) == "HUP"


@pytest.mark.parametrize("text", ["", "0", "99", "-1", "NOPE", "SIG"])
def test_no_signal(text: str) -> None:
    with pytest.raises(UsageError, match="there is no such signal"):
        signal_name(text)
