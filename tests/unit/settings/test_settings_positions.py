"""The scanner finds the line of every key, in every form that TOML has."""

from pillion.settings.positions import locate, parse_key


def test_tables_keys_and_arrays_of_tables() -> None:
    lines = locate(
        """# a comment
[app]
name = "x" # = [no]

[[proxies]]
name = "a"
[proxies.inner]
deep = 1
[[proxies]]
name = "b"
"""
    )
    assert lines == {
        ("app",): 2,
        ("app", "name"): 3,
        ("proxies",): 5,
        ("proxies", 0): 5,
        ("proxies", 0, "name"): 6,
        ("proxies", 0, "inner"): 7,
        ("proxies", 0, "inner", "deep"): 8,
        ("proxies", 1): 9,
        ("proxies", 1, "name"): 10,
    }


def test_dotted_quoted_and_inline() -> None:
    lines = locate('a."b.c".d = 1\n\n"\\u0065" = { x = 1, y.z = [1,\n 2] }\n')
    assert lines == {
        ("a",): 1,
        ("a", "b.c"): 1,
        ("a", "b.c", "d"): 1,
        ("e",): 3,
        ("e", "x"): 3,
        ("e", "y"): 3,
        ("e", "y", "z"): 3,
        ("e", "y", "z", 0): 3,
        ("e", "y", "z", 1): 4,
    }


def test_strings_over_many_lines_hide_what_looks_like_keys() -> None:
    lines = locate('a = """\nb = 1\n\\""" [c]\n"""""\nd = \'\'\'\n[e]\n\'\'\'\nf = 2\n')
    assert lines == {("a",): 1, ("d",): 5, ("f",): 8}


def test_arrays_over_many_lines_with_comments_and_tables_in_them() -> None:
    lines = locate("a = [ # [\n  1, # ]\n  { b = 2 },\n\n  [ 3 ],\n]\nc = 1979-05-27 07:32:00\n")
    assert lines == {
        ("a",): 1,
        ("a", 0): 2,
        ("a", 1): 3,
        ("a", 1, "b"): 3,
        ("a", 2): 5,
        ("a", 2, 0): 5,
        ("c",): 7,
    }


def test_an_explicit_header_is_the_better_place() -> None:
    assert locate("[a.b]\n[a]\n")[("a",)] == 2


def test_carriage_returns() -> None:
    assert locate('a = 1\r\nb = """x\r\n"""\r\nc = 1\r\n') == {("a",): 1, ("b",): 2, ("c",): 4}


def test_key_and_rest() -> None:
    assert parse_key('a."b=c" . d = 1') == (("a", "b=c", "d"), "= 1")
