"""What was measured, with OpenTelemetry's names and units, whoever is told of it and in whatever format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_ATTRIBUTES: Mapping[str, str] = {}


class Instrument(msgspec.Struct, frozen=True):
    """One metric: `unit` is UCUM's as OpenTelemetry writes it (`By`, `s`, `1`, `{thread}`).

    `counts` is for what only grows until the process that counts ends (a cumulative, monotonic sum); everything else is a gauge.
    """

    name: str
    unit: str
    description: str
    counts: bool = False


class Measurement(msgspec.Struct, frozen=True):
    """One number of an instrument, with the attributes that tell it from the others."""

    instrument: Instrument
    value: float
    attributes: Mapping[str, str] = NO_ATTRIBUTES
