"""What is compressed beforehand, and when what was compressed is no longer right."""

from __future__ import annotations

import pytest

from pillion.proxies.offload.tree import MOST_BYTES, MOST_FILES, Made, Original, wants, work

NOW = 1_000_000_000_000
OLD = Original(size=5000, modified_ns=1, changed_ns=1, inode=7)
MADE = Made(OLD, {"gz": 100, "br": 90})
PRESENT = {"a.js.gz": 100, "a.js.br": 90}


@pytest.mark.parametrize(
    ("path", "size", "wanted"),
    [
        ("a.js", 5000, True),
        ("deep/er/style.css", 5000, True),
        ("index.html", 5000, False),
        ("picture.png", 5000, False),
        ("a.js", 1023, False),
        ("a.js", MOST_BYTES + 1, False),
        (".hidden.js", 5000, False),
        (".git/a.js", 5000, False),
        ("js", 5000, False),
        (".js", 5000, False),
        ("a.js/", 5000, False),
        ("other/a.js", 5000, False),
        ("not-utf8-\udcff.js", 5000, False),
    ],
)
def test_what_is_wanted(path: str, size: int, wanted: bool) -> None:
    assert wants(path, size, lambda one: not one.startswith("other/")) is wanted


def test_what_is_right_is_left() -> None:
    found = work({"a.js": OLD}, {"a.js": MADE}, PRESENT, NOW)
    assert (found.remove, found.make, found.later_s) == ((), (), None)


@pytest.mark.parametrize(
    "other",
    [
        Original(5001, 1, 1, 7),
        Original(5000, 2, 1, 7),
        # Builds that can be repeated give every file the same time: what the kernel says of the change counts.
        Original(5000, 1, 2, 7),
        Original(5000, 1, 1, 8),
    ],
)
def test_another_original_makes_it_wrong(other: Original) -> None:
    found = work({"a.js": other}, {"a.js": MADE}, PRESENT, NOW)
    assert (sorted(found.remove), found.make) == (["a.js.br", "a.js.gz"], ("a.js",))


@pytest.mark.parametrize("present", [{}, {"a.js.gz": 100}, {"a.js.gz": 0, "a.js.br": 90}])
def test_a_tree_that_is_not_what_was_made_is_made_again(present: dict[str, int]) -> None:
    found = work({"a.js": OLD}, {"a.js": MADE}, present, NOW)
    assert (set(found.remove), found.make) == (set(present), ("a.js",))
    # Nor is one of which nothing is known.
    assert work({"a.js": OLD}, {}, PRESENT, NOW).make == ("a.js",)


def test_what_has_no_original_goes() -> None:
    present = PRESENT | {"b.js.gz": 1, "c.js.gz.new": 3, "stray": 1}
    assert set(work({"a.js": OLD}, {"a.js": MADE}, present, NOW).remove) == {
        "b.js.gz",
        "c.js.gz.new",
        "stray",
    }


def test_no_gain_is_remembered() -> None:
    assert work({"a.js": OLD}, {"a.js": Made(OLD, {})}, {}, NOW).make == ()


def test_a_file_that_may_still_be_written_to_waits() -> None:
    fresh = Original(5000, 1, NOW - 500_000_000, 7)
    found = work({"a.js": fresh, "b.js": OLD}, {"a.js": MADE}, PRESENT, NOW)
    # What was made of the old one does not wait to be removed.
    assert (sorted(found.remove), found.make, found.later_s) == (
        ["a.js.br", "a.js.gz"],
        ("b.js",),
        1.5,
    )
    ahead = Original(5000, 1, NOW + 10**12, 7)
    assert work({"a.js": ahead}, {}, {}, NOW).make == ("a.js",)


def test_there_is_a_bound() -> None:
    many = {f"{one}.js": OLD for one in range(MOST_FILES + 5)}
    found = work(many, {}, {}, NOW)
    assert (len(found.make), found.left_out) == (MOST_FILES, 5)
