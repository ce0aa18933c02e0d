"""The settings' own named tuples behave as those of `typing`, in what the settings use of them."""

from __future__ import annotations

import pytest

from pillion.settings.problems import Finding, Problem


def test_items_have_names_defaults_and_places() -> None:
    finding = Finding(("app", "port"), "cannot use 0", suggestion="1")
    assert (finding.path, finding.expected, finding.suggestion) == (("app", "port"), "", "1")
    assert tuple(finding) == (("app", "port"), "cannot use 0", "", "1")
    assert finding._asdict()["message"] == "cannot use 0"
    path, *_ = finding
    assert path == ("app", "port")


def test_one_is_made_from_another() -> None:
    finding = Finding(("app",), "unknown setting")
    assert finding._replace(suggestion="api") == Finding(("app",), "unknown setting", "", "api")
    assert "suggestion='api'" in repr(finding._replace(suggestion="api"))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((), {}),
        ((1,), {}),
        ((1, "p", "m"), {"path": "q"}),
        ((1, "p", "m"), {"colour": "red"}),
        (tuple(range(8)), {}),
    ],
)
def test_what_is_missing_or_given_twice_is_refused(
    given: tuple[object, ...], named: dict[str, object]
) -> None:
    with pytest.raises(TypeError, match="Problem"):
        Problem(*given, **named)  # type: ignore[arg-type]
