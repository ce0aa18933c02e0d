"""What one attempt came to. A failed probe is a value; what it says is bounded and can be shown anywhere."""

from __future__ import annotations

import enum
from dataclasses import dataclass

OUTPUT_BYTES = 1024
_CUT = " …"


class Verdict(enum.Enum):
    """What an attempt, or somebody who tells, says."""

    PASS = "pass"  # noqa: S105 # no password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Result:
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
    text = said[: limit * 2].decode(errors="replace") if isinstance(said, bytes) else said
    longer = len(text) > limit or len(said) > limit * 2
    # A lone surrogate (from JSON, say) is no text that could be encoded.
    raw = text[: limit + 1].strip().encode(errors="replace")
    if len(raw) > limit or longer:
        raw = raw[: limit - len(_CUT.encode())]
        text = raw.decode(errors="ignore") + _CUT
    else:
        text = raw.decode()
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)[:limit]
