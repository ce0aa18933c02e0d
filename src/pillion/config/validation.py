"""Values held against JSON Schemas, in a thread: the library costs memory, so it comes with the first schema that is used.

A schema is the app's, and must not hold up the agent: nothing is fetched, regular expressions run in linear time,
and messages never show a value.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pillion.config.items import decoded, problem_with

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jsonschema_rs import ValidationError, Validator

    from pillion.config.schemas import Schema

MOST_PROBLEMS = 100
_MOST_COMPILED = 64
_PATTERN_BYTES = 1 << 20
_HIDDEN = "the value"


class Validation:
    """Checks values and schemas; what it has compiled it keeps, a few at most."""

    def __init__(self) -> None:
        self._compiled: dict[bytes, Validator] = {}

    async def problems(self, schemas: tuple[Schema, ...], value: bytes) -> list[str]:
        """Every way in which `value` breaks `schemas`, each with its place; a hundred at most."""
        if not schemas:
            return []
        return await asyncio.to_thread(self._problems, schemas, value)

    async def schema_problems(self, raw: bytes) -> list[str]:
        """Why `raw` is no schema that can be used."""
        return await asyncio.to_thread(self._schema_problems, raw)

    async def broken(self, schema: Schema, values: list[tuple[str, bytes]]) -> list[str]:
        """Which of `values`, each with its name, do not keep to `schema`, and in which way."""
        return await asyncio.to_thread(self._broken, schema, values)

    def _broken(self, schema: Schema, values: list[tuple[str, bytes]]) -> list[str]:
        found: list[str] = []
        for name, value in values:
            if problem_with(value):
                continue  # it was no JSON before, and nobody is given it
            found += [f"{name}: {problem}" for problem in self._problems((schema,), value)]
            if len(found) >= MOST_PROBLEMS:
                return found[:MOST_PROBLEMS]
        return found

    def _problems(self, schemas: Iterable[Schema], value: bytes) -> list[str]:
        found: list[str] = []
        instance = decoded(value)
        for schema in schemas:
            try:
                validator = self._validator(schema.raw)
            except ValueError as error:
                found.append(f"the schema {schema.name} cannot be used: {_line(error)}")
                continue
            for problem in validator.iter_errors(instance):
                found.append(f"{_place(problem)}: {_line(problem)} (schema {schema.name})")
                if len(found) >= MOST_PROBLEMS:
                    return found
        return found

    def _schema_problems(self, raw: bytes) -> list[str]:
        try:
            self._validator(raw)
        except ValueError as error:
            where = getattr(error, "instance_path", None)
            place = "".join(f"/{part}" for part in where or ())
            return [f"{place or 'schema'}: {_line(error)}"]
        return []

    def _validator(self, raw: bytes) -> Validator:
        """The compiled schema; `ValueError` when it is none."""
        found = self._compiled.get(raw)
        if found is not None:
            return found
        import jsonschema_rs

        schema = msgspec.json.decode(raw)
        if not isinstance(schema, dict | bool):
            raise ValueError("a schema is an object, true or false")  # noqa: TRY004 # as the library says it
        made = jsonschema_rs.validator_for(
            schema,
            offline=True,
            mask=_HIDDEN,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES),
        )
        while len(self._compiled) >= _MOST_COMPILED:
            self._compiled.pop(next(iter(self._compiled)), None)
        self._compiled[raw] = made
        return made


def _place(problem: ValidationError) -> str:
    return "".join(f"/{part}" for part in problem.instance_path) or "value"


def _line(error: ValueError) -> str:
    message = getattr(error, "message", None) or str(error)
    return str(message).partition("\n")[0][:500]
