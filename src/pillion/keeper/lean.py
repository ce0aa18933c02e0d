"""The C halves of standard modules under their own names: `deque`, `json`, `signal`, `socket`, and a door to libc.

Their Python halves import `enum` and `re`, which cost a lean start more than all of the keeper's own code. The C
halves are CPython's and no promise of the language, so each falls back to the whole module where it is not as expected.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import json as json  # a re-export
    import signal as signal
    import socket as socket
    from collections import deque as deque
    from collections.abc import Callable
else:
    try:
        from _collections import deque
    except ImportError:
        from collections import deque
    try:
        from .lean_json import json
    except ImportError:
        import json
    try:
        import _signal as signal
    except ImportError:
        import signal
    try:
        from .lean_socket import socket
    except ImportError:
        import socket

_SIGNALS = {
    name[3:]: int(value)
    for name, value in vars(signal).items()
    if name.startswith("SIG")
    and not name.startswith("SIG_")
    and name not in ("SIGRTMIN", "SIGRTMAX")
}
# The names of old for what signal(7) calls ABRT and CHLD.
_SYNONYMS = ("IOT", "CLD")
_NAMES = {n: name for name, n in reversed(_SIGNALS.items()) if name not in _SYNONYMS}


def signal_number(name: str) -> int:
    """Return the number of TERM or SIGTERM. Raises KeyError."""
    return _SIGNALS[name.removeprefix("SIG")]


def signal_name(number: int) -> str:
    """Return TERM for 15, and the number itself in digits where the signal has no name."""
    return _NAMES.get(number, str(number))


def _whole_libc() -> Callable[[int, int], int]:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(option: int, value: int) -> int:
        done: int = libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)
        return ctypes.get_errno() if done != 0 else 0

    return call


def _lean_libc() -> Callable[[int, int], int]:
    import _ctypes

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "i"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Int

    handle = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
    prctl = Function(_ctypes.dlsym(handle, "prctl"))

    def call(option: int, value: int) -> int:
        done: int = prctl(Int(option), Long(value), Long(0), Long(0), Long(0))
        return int(_ctypes.get_errno()) if done != 0 else 0

    return call


def open_libc() -> Callable[[int, int], int]:
    """Return prctl(2) with one argument, as a function that returns 0 or the error number."""
    try:
        return _lean_libc()
    except (ImportError, AttributeError, OSError, TypeError):
        return _whole_libc()


__all__ = ["deque", "json", "open_libc", "signal", "signal_name", "signal_number", "socket"]
