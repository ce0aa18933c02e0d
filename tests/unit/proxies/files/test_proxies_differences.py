"""Unified diffs: their shape, and that they cost no more than they may."""

from __future__ import annotations

from pillion.proxies.files.differences import MOST_CHARACTERS, diff


def test_a_changed_line_with_its_surroundings() -> None:
    before = "".join(f"{number}\n" for number in range(1, 21))
    after = before.replace("10\n", "ten\n")
    assert diff({"nginx.conf": before}, {"nginx.conf": after}) == (
        "--- a/nginx.conf\n+++ b/nginx.conf\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"
    )


def test_nothing_changed_is_nothing() -> None:
    assert diff({"a": "x\n", "b": ""}, {"a": "x\n", "b": ""}) == ""


def test_a_new_file_and_one_that_is_gone() -> None:
    assert diff({"old": "1\n"}, {"new": "2\n"}) == (
        "--- /dev/null\n+++ b/new\n@@ -0,0 +1,1 @@\n+2\n".replace("+1,1", "+1")
        + "--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n"
    )


def test_a_last_line_without_an_end_is_said() -> None:
    assert diff({"a": "x\ny\n"}, {"a": "x\ny"}) == (
        "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n x\n-y\n+y\n\\ No newline at end of file\n"
    )


def test_too_much_for_a_comparison_is_told_in_numbers() -> None:
    before = "".join(f"a{number}\n" for number in range(10_000))
    after = "".join(f"b{number}\n" for number in range(10_000))
    assert diff({"a": before}, {"a": after}) == (
        "--- a/a\n+++ b/a\n@@ -1,10000 +1,10000 @@ too much has changed to show it\n"
    )


def test_a_small_change_of_a_large_file_is_shown() -> None:
    before = "".join(f"a{number}\n" for number in range(200_000))
    shown = diff({"a": before}, {"a": before.replace("a77777\n", "")})
    assert "@@ -77775,7 +77775,6 @@" in shown
    assert "-a77777\n" in shown


def test_its_length_is_bounded_and_what_is_left_out_counted() -> None:
    after = "".join(f"{'x' * 100}{number}\n" for number in range(1500))
    shown = diff({"a": ""}, {"a": after})
    assert len(shown) < MOST_CHARACTERS + 2000
    kept = shown.count("\n+x")
    assert shown.endswith(f"… {1500 - kept} lines of the difference are left out\n")
