"""The JSON Schema of pillion.toml, for editors that complete and check while one types."""

from pillion.settings.kinds import Schema
from pillion.settings.tree import ROOT


def json_schema() -> Schema:
    """The schema (draft 2020-12) of the file as users write it.

    It knows every name and every value's form. What values say together, and what a pattern cannot express (that a regular
    expression compiles, that a port in an address is in range), only `pillion check` knows.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pillion.toml",
        "description": "Settings of Pillion: a program and its sidecar.",
        **ROOT.plain_schema(),
    }
