"""How a loss is told in its place among the records: nothing is missing without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.logs.facts import Facts
from pillion.logs.severity import WARN

if TYPE_CHECKING:
    from pillion.logs.lines import Loss


def loss_text(stream: str, loss: Loss) -> str:
    """Return what a loss says in its place."""
    skipped = f", and the {loss.skipped} that follow up to the next line" if loss.skipped else ""
    return f"{loss.lost} bytes of {stream} were lost ({loss.why}{skipped})"


def loss_facts(stream: str, loss: Loss) -> Facts:
    """Return a loss as the encoders take it."""
    facts = Facts(loss_text(stream, loss).encode())
    facts.severity = WARN
    facts.level = b"WARN"
    facts.attributes = {
        "pillion.lost.bytes": loss.lost,
        "pillion.lost.from": loss.offset,
        "pillion.lost.to": loss.end,
        "pillion.lost.why": loss.why,
    }
    return facts
