"""What templates ask for is fetched until nothing is missing; what went into them is what is watched."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pillion.proxies.templating.facts import Facts
from pillion.proxies.templating.making import make
from pillion.proxies.templating.references import Reference
from pillion.proxies.templating.rendered import Missing, Rendered, RenderedFile, RenderError
from pillion.proxies.templating.sources import SourceError, Sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.proxies.templating.making import Made, Renderer

ONE, TWO = Reference("config", "one"), Reference("config", "two")
PASSWORD = Reference("secret", "password")
TEMPLATE = "/etc/edge.j2"
FACTS = Facts(
    name="edge",
    kind="nginx",
    directory="/conf",
    runtime_dir="/run",
    state_dir="/state",
    service="shop",
    instance="shop",
    proof_path="/run/proof",
)


class Given:
    """A source of what the test says; it keeps what it was asked for."""

    def __init__(self, values: dict[str, object]) -> None:
        self.values = values
        self.asked: list[str] = []

    async def fetch(self, name: str) -> object:
        self.asked.append(name)
        if name not in self.values:
            raise SourceError(f"cannot read {name}: the store is away")
        return self.values[name]

    def stale_s(self) -> int | None:
        return 7


def made(
    render: Renderer, values: dict[str, object], used: frozenset[Reference] = frozenset()
) -> tuple[Made, Given]:
    sources, given = Sources(), Given(values)
    sources.add("config", given)
    sources.add("secret", given)
    return asyncio.run(make(render, sources, FACTS, used)), given


def after(*references: Reference) -> Renderer:
    """A renderer that asks for one after the other, as a template does that makes a name of a value."""

    def render(values: Mapping[Reference, object], _facts: Facts) -> Rendered | Missing:
        for one in references:
            if one not in values:
                return Missing(frozenset({one}), frozenset(values), frozenset({TEMPLATE}))
        text = " ".join(str(values[one]) for one in references)
        return Rendered(
            version="v",
            files=(RenderedFile("nginx.conf", text),),
            used=frozenset(references),
            templates=frozenset({TEMPLATE}),
        )

    return render


def test_what_is_missing_is_fetched_one_after_the_other() -> None:
    found, given = made(after(ONE, TWO), {"one": 1, "two": 2})
    assert found.rendered is not None
    assert found.rendered.files[0].text == "1 2"
    assert found.used == {ONE, TWO, Reference("file", TEMPLATE)}
    assert given.asked == ["one", "two"]
    assert found.stale_s == 7


def test_what_was_used_the_last_time_is_fetched_at_once() -> None:
    rounds = 0

    def render(values: Mapping[Reference, object], facts: Facts) -> Rendered | Missing:
        nonlocal rounds
        rounds += 1
        return after(ONE, TWO)(values, facts)

    made(render, {"one": 1, "two": 2}, frozenset({ONE, TWO, Reference("file", TEMPLATE)}))
    assert rounds == 1


def test_a_source_without_a_value_may_have_one_later_and_is_watched() -> None:
    found, _ = made(after(ONE, TWO), {"one": 1})
    assert found.rendered is None
    assert found.passing
    assert "the store is away" in found.words
    assert {ONE, TWO} <= found.used


def test_an_error_of_a_template_shows_no_secret_and_what_it_used_is_watched() -> None:
    def render(values: Mapping[Reference, object], facts: Facts) -> Rendered | Missing:
        if PASSWORD not in values:
            return Missing(frozenset({PASSWORD}))
        raise RenderError(
            f"cannot render edge: {values[PASSWORD]} is no number",
            used={PASSWORD},
            templates={TEMPLATE},
        )

    found, _ = made(render, {"password": "planted"})
    assert found.words == "cannot render edge: *** is no number"
    assert not found.passing
    assert found.used == {PASSWORD, Reference("file", TEMPLATE)}


def test_secrets_are_known_by_their_names() -> None:
    found, _ = made(after(ONE, PASSWORD), {"one": 1, "password": "planted"})
    assert found.secrets == {"password": "planted"}


def test_templates_without_an_end_are_given_up() -> None:
    def render(values: Mapping[Reference, object], _facts: Facts) -> Rendered | Missing:
        return Missing(frozenset({Reference("config", f"k{len(values)}")}))

    found, _ = made(render, {f"k{number}": number for number in range(100)})
    assert "never have enough" in found.words
    assert not found.passing


def test_more_than_anybody_uses_is_refused() -> None:
    names = frozenset(Reference("config", f"k{number}") for number in range(2000))

    def render(values: Mapping[Reference, object], _facts: Facts) -> Rendered | Missing:
        return Missing(names - values.keys())

    found, given = made(render, {f"k{number}": 1 for number in range(2000)})
    assert 'tree("' in found.words
    assert not given.asked
