"""A process bears its role as its name."""

from __future__ import annotations

import os

import pytest

from pillion.base.process_name import process_name, set_process_name


def test_the_name_is_the_one_ps_shows() -> None:
    before = process_name(os.getpid())
    try:
        set_process_name("pillion-agent")
        assert process_name(os.getpid()) == "pillion-agent"
        set_process_name("pillion-ambassador-2")
        assert process_name(os.getpid()) == "pillion-ambassa"
    finally:
        set_process_name(before)


def test_no_process_no_name() -> None:
    with pytest.raises(OSError, match="No such file"):
        process_name(1 << 30)
