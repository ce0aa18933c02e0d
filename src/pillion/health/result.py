"""What one attempt came to. A failed probe is a value; what it says is bounded and can be shown anywhere."""

from __future__ import annotations

import enum

import msgspec

OUTPUT_BYTES = 1024
_CUT = " …"


class Verdict(enum.Enum):
    """What an attempt, or somebody who tells, says."""

    PASS = "pass"  # noqa: S105 # no password
    WARN = "warn"
    FAIL = "fail"


class Result(msgspec.Struct, frozen=True):
    """`output` is at most `OUTPUT_BYTES` of UTF-8 (see `clip`), `duration_s` the time it took in seconds."""

    verdict: Verdict
    output: str = ""
    duration_s: float = 0.0

    @property
    def good(self) -> bool:
        """Whether it counts as a success: a warning does."""
        return self.verdict is not Verdict.FAIL


def clip(said: str | bytes, limit: int = OUTPUT_BYTES) -> str:
    """`said` as text of at most `limit` bytes of UTF-8, what is no UTF-8 replaced, no character cut in half.

    Line ends and tabs stay; other control characters are replaced as well: a journal is read on terminals.
    """
    longer = len(said) > limit * 4
    text = said[: limit * 4]
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text.strip())
    # Lone surrogates (JSON can hold them) are not printable, so that this cannot fail.
    raw = text.encode()
    if not longer and len(raw) <= limit:
        return text
    return raw[: limit - len(_CUT.encode())].decode(errors="ignore") + _CUT
