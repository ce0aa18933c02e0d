"""The lean halves of standard modules do what the whole modules do."""

from __future__ import annotations

import array
import json
import os
import signal
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.keeper import lean, posix
from pillion.keeper.lean_json import json as lean_json
from pillion.keeper.lean_socket import socket as lean_socket

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_json_is_written_and_read_alike(value: object) -> None:
    assert lean_json.dumps(value) == json.dumps(value)
    compact = lean_json.dumps(value, separators=(",", ":"))
    assert compact == json.dumps(value, separators=(",", ":"))
    assert lean_json.loads(compact) == value
    assert lean_json.loads(f" \n{compact}\t\r".encode()) == value


@given(st.text(alphabet='{}[]",:0123456789.-+eEtrufalsn \\u\n', max_size=30))
def test_what_is_no_json_is_refused_alike(text: str) -> None:
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            lean_json.loads(text)
    else:
        found = lean_json.loads(text)
        assert found == wanted or (found != found and wanted != wanted)


def test_what_is_not_json_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        lean_json.dumps({"a": object()})


def test_signals_have_their_names() -> None:
    for one in signal.Signals:
        if one not in (signal.SIGRTMIN, signal.SIGRTMAX):
            assert lean.signal_number(one.name) == one
            assert signal.Signals[f"SIG{lean.signal_name(one)}"] == one
    assert lean.signal_name(63) == "63"
    assert lean.signal_number("TERM") == signal.SIGTERM
    with pytest.raises(KeyError):
        lean.signal_number("NONE")


def test_sockets_of_both_kinds_meet() -> None:
    one, other = lean_socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other, open(os.devnull, "rb") as null:
        assert lean_socket.send_fds(one, [b"x"], [null.fileno()]) == 1
        data, (head, *_), _, _ = other.recvmsg(16, socket.CMSG_SPACE(4))
        fds = array.array("i", head[2])
        assert data == b"x"
        assert head[:2] == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        os.close(fds[0])
    assert one.fileno() == -1


def test_accepting_gives_a_blocking_socket_that_is_not_inherited() -> None:
    with (
        lean_socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        socket.socket() as client,
    ):
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        accepted, address = listener.accept()
        with accepted:
            assert address == client.getsockname()
            assert accepted.getblocking()
            assert not os.get_inheritable(accepted.fileno())


def test_prctl_tells_what_went_wrong() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        posix.prctl(-1, 0)
