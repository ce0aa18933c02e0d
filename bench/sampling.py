"""Rounds in which every subject has its turn, so that what drifts on the machine drifts for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def interleave(
    rounds: int, subjects: Mapping[str, Callable[[], float]], *, warm_up: bool = False
) -> dict[str, list[float]]:
    """Measure every subject once a round, each round beginning with another. Returns all samples by subject.

    `warm_up` measures each once beforehand and forgets it: files are then in the page cache for all.
    """
    names = list(subjects)
    samples: dict[str, list[float]] = {name: [] for name in names}
    if warm_up:
        for name in names:
            subjects[name]()
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(subjects[name]())
    return samples


def paired(one: list[float], other: list[float]) -> list[float]:
    """The differences of two subjects round by round."""
    return [a - b for a, b in zip(one, other, strict=True)]
