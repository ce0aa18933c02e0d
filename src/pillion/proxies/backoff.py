"""How long to wait before the same is tried again, and whether a failure is one that passes by itself."""

from __future__ import annotations

import re

# What nginx 1.22, HAProxy 2.6 and the kernel say of causes outside of the files that were rendered. Anything else is
# believed to stay until a source, a template or the settings change.
_PASSING = re.compile(
    r"address already in use|address not available|cannot assign requested address|still could not bind"
    r"|cannot bind socket|no space left|disk quota exceeded|input/output error|read-only file system"
    r"|too many open files|cannot allocate memory|not enough space|resource temporarily unavailable"
    r"|host not found|could not resolve|temporary failure in name resolution"
    r"|no such file|permission denied|killed: it did not end|timed out|connection refused",
    re.IGNORECASE,
)


def may_pass(words: str) -> bool:
    """Whether what a check, a load or the system said names a cause that can go away without another configuration."""
    return _PASSING.search(words) is not None


def delay_s(failures: int, initial_s: float, max_s: float) -> float:
    """How long to wait after so many `failures` in a row: doubled each time, up to `max_s`."""
    # A bound of its own: 2.0 ** 2000 is no float.
    return float(min(max_s, initial_s * 2.0 ** min(max(failures - 1, 0), 32)))
