"""What nginx says, as 1.22 says it, read for level, place and whether it is worth another try."""

from __future__ import annotations

import pytest

from pillion.proxies.driver import Place
from pillion.proxies.nginx.messages import MOST_MESSAGES, Message, error_logs, messages, places

CHECKED = "/state/edge/conf.candidate"


def one(words: str) -> Message:
    found = messages(words, (CHECKED,))
    assert len(found) == 1
    return found[0]


def test_a_place_is_named_relative_to_the_checked_directory() -> None:
    words = (
        f'2026/11/23 00:58:47 [emerg] 21765#21765: unknown directive "foo" in {CHECKED}/nginx.conf:12\n'
        f"nginx: configuration file {CHECKED}/nginx.conf test failed\n"
    )
    assert one(words) == Message("emerg", 'unknown directive "foo"', "nginx.conf", 12)
    assert str(one(words)) == 'nginx.conf line 12: unknown directive "foo"'


@pytest.mark.parametrize("head", ["nginx: [emerg] ", "2026/11/23 00:58:47 [emerg] 7#7: *12 "])
def test_before_there_is_a_log_and_within_a_connection(head: str) -> None:
    assert one(f"{head}still could not bind()") == Message("emerg", "still could not bind()")


def test_the_last_in_is_the_place() -> None:
    words = f'nginx: [emerg] host not found in upstream "a in /b:7" in {CHECKED}/up.conf:3'
    assert one(words) == Message("emerg", 'host not found in upstream "a in /b:7"', "up.conf", 3)


def test_a_file_elsewhere_keeps_its_path() -> None:
    words = 'nginx: [emerg] unknown "nope" variable in /etc/nginx/mime.types:3'
    assert one(words).file == "/etc/nginx/mime.types"


def test_a_word_of_several_lines_is_one_message() -> None:
    words = f'nginx: [emerg] unknown directive "foo\n\tbar" in {CHECKED}/nginx.conf:2\n'
    assert one(words) == Message("emerg", 'unknown directive "foo bar"', "nginx.conf", 2)


def test_what_it_says_again_and_again_is_said_once() -> None:
    line = "2026/11/23 00:57:15 [emerg] 1#1: bind() to 127.0.0.1:80 failed (98: Address already in use)\n"
    assert one(line * 5).passing


def test_warnings_are_places_only_when_there_is_nothing_worse() -> None:
    warning = f"nginx: [warn] the user directive makes no sense in {CHECKED}/nginx.conf:1\n"
    worse = "nginx: [emerg] no events section\n"
    assert places(messages(warning, (CHECKED,)))[0].line == 1
    assert places(messages(warning + worse, (CHECKED,))) == (Place("", 0, "no events section"),)


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("bind() to 0.0.0.0:80 failed (98: Address already in use)", True),
        ("bind() to 1.2.3.4:80 failed (99: Cannot assign requested address)", True),
        ("bind() to 0.0.0.0:80 failed (13: Permission denied)", False),
        ('open() "/x" failed (28: No space left on device)', True),
        ('open() "/x" failed (2: No such file or directory)', False),
        ('host not found in upstream "orders"', True),
        ('limit_req "a" uses the "$uri" key while previously it used the "$host" key', False),
        ('unknown directive "98"', False),
    ],
)
def test_what_may_pass(text: str, passing: bool) -> None:
    assert one(f"nginx: [emerg] {text}").passing is passing


@pytest.mark.parametrize(
    "words", ["", "\n\n", "Segmentation fault\n", "[emerg] nobody\n", "\x00\xff" * 99]
)
def test_what_is_not_nginx_is_no_message(words: str) -> None:
    assert messages(words) == ()


def test_a_flood_is_bounded() -> None:
    words = "".join(f"nginx: [emerg] number {number}\n" for number in range(10_000))
    assert len(messages(words)) == MOST_MESSAGES


def test_the_error_logs_of_the_outermost_level() -> None:
    text = """
    # error_log /commented;
    user www; error_log /var/log/nginx/error.log warn;
    error_log "/with space/e.log"; error_log stderr; error_log logs/relative.log;
    http { error_log /http.log; server { error_log /server.log; location ~ "a{2};" { } } }
    error_log syslog:server=unix:/dev/log;
    error_log /last.log;
    """
    assert error_logs(text) == ("/var/log/nginx/error.log", "/with space/e.log", "/last.log")


@pytest.mark.parametrize(
    "text", ["", "error_log", "error_log;", "}", "{{{", "'", '"' * 99, "error_log /x"]
)
def test_a_configuration_that_is_none_has_no_error_logs(text: str) -> None:
    assert error_logs(text) == ()
