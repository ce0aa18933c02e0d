"""The settings that docs/ambassador.md shows can be used as they stand there."""

import re
import textwrap
import tomllib
from pathlib import Path

import pytest

from pillion.settings import parse
from pillion.settings.checks_routes import route_notices
from pillion.settings.reading import validate

_PAGE = (Path(__file__).parents[2] / "docs" / "ambassador.md").read_text(encoding="utf-8")
_SECTION = re.search(r"^## Settings at a glance$(.*?)(?=^## |\Z)", _PAGE, re.MULTILINE | re.DOTALL)


def examples(text: str) -> list[str]:
    """The blocks that begin with the header of a table of settings."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)
    found = [textwrap.dedent(block).strip("\n") for block in blocks]
    return [block for block in found if re.match(r"\[\[?[a-z.-]+\]\]?( |$)", block, re.MULTILINE)]


@pytest.mark.parametrize("text", examples(_PAGE))
def test_every_value_shown_is_one(text: str) -> None:
    _, findings = validate(tomllib.loads(text))
    assert findings == []


@pytest.mark.parametrize("text", examples(_SECTION[1] if _SECTION else ""))
def test_the_examples_at_a_glance_are_whole(text: str) -> None:
    settings = parse(text)
    assert settings.uses_ambassador
    assert route_notices(settings) == []


def test_there_are_examples() -> None:
    assert _SECTION is not None
    assert len(examples(_SECTION[1])) == 2
