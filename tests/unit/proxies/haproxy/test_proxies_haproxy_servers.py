"""What a file wants of its servers, what of it run time can express, and why not the rest."""

from __future__ import annotations

import pytest

from pillion.proxies.haproxy.servers import Server, read_configuration, same_frame


def backend(lines: str, before: str = "", name: str = "b") -> str:
    return f"{before}\nbackend {name}\n{lines}\n"


def server(line: str, more: str = "", before: str = "") -> Server:
    found = read_configuration(backend(f"{more}\n  server {line}", before)).backends["b"]
    [one] = found.servers.values()
    return one


def test_a_server_is_its_address_its_weight_and_its_options_in_one_order() -> None:
    one = server("a 127.0.0.1:80 rise 3 check weight 7 inter 1s disabled")
    assert (one.name, one.address, one.port, one.weight, one.maint) == (
        "a",
        "127.0.0.1",
        80,
        7,
        True,
    )
    assert one.options == ("check", "inter", "1s", "rise", "3")
    assert one == server("a 127.0.0.1:80 check inter 1s rise 3 disabled weight 7")
    assert not one.fixed
    assert not one.serving


def test_defaults_and_default_servers_are_worked_in_and_the_last_word_holds() -> None:
    before = "defaults\n  default-server check inter 5s weight 3"
    one = server("a [::1]:80 inter 1s", "  default-server ssl verify none maxconn 9", before)
    assert one.options == ("check", "inter", "1s", "maxconn", "9", "ssl", "verify", "none")
    assert one.weight == 3
    assert one.address == "::1"
    other = server("a ::1:80 no-check no-ssl enabled", "  default-server ssl check disabled")
    assert other.options == ()
    assert not other.maint


def test_a_default_server_holds_for_what_follows_it() -> None:
    found = read_configuration(
        backend("  server a 1.1.1.1:1\n  default-server check\n  server b 1.1.1.1:1\n")
    ).backends["b"]
    assert [one.checked for one in found.servers.values()] == [False, True]


def test_the_command_that_adds_it_says_everything() -> None:
    command = server("a ipv6@[::0001]:80 check inter 1s weight 0 sni str(a\\ b)").add_command("b")
    assert command == (
        "add server b/a [::1]:80 weight 0 pool-purge-delay 5s pool-max-conn -1 check inter 1s sni str(a\\ b)"
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("a shop.example:80", "its address is not an IP address"),
        ("a 127.0.0.1", "its address is not an IP address"),
        ("a 127.0.0.1:+1", "its address is not an IP address"),
        ("a 127.0.0.1:99999", "its address is not an IP address"),
        ("a 127.0.0.1:\u0661", "its address is not an IP address"),
        ("a unix@/run/x.sock", "its address is not an IP address"),
        ("a ${HOST}:80", "its address is not an IP address"),
        ("a 127.0.0.1:80 cookie x", "run time does not take its cookie"),
        ("a 127.0.0.1:80 track b/c", "run time does not take its track"),
        ("a 127.0.0.1:80 agent-check", "run time does not take its agent-check"),
        ("a 127.0.0.1:80 source 10.0.0.1 usesrc client", "run time does not take its source"),
        ("a 127.0.0.1:80 frobnicate", "run time does not take its frobnicate"),
        ("a 127.0.0.1:80 inter", "run time does not take its inter"),
        ("a 127.0.0.1:80 sni $X", "its sni cannot be said"),
        ('a 127.0.0.1:80 sni "a;b"', "its sni cannot be said"),
        ('"a;b" 127.0.0.1:80', "its name cannot be said"),
        ("a 127.0.0.1:80 weight 257", "its weight is no plain number"),
        ("a 127.0.0.1:80 weight ${W}", "its weight is no plain number"),
    ],
)
def test_what_run_time_cannot_express_is_known(line: str, why: str) -> None:
    assert why in server(line).fixed


def test_words_about_resolving_mean_nothing_to_an_ip_address() -> None:
    one = server("a 127.0.0.1:80 init-addr last,none resolvers dns resolve-prefer ipv4")
    assert not one.fixed
    assert one.options == ()


@pytest.mark.parametrize(
    ("more", "fixed", "fixed_weights"),
    [
        ("  balance roundrobin", "", False),
        ("", "", False),
        ("  balance random(3)", "", False),
        ("  balance leastconn", "", False),
        ("  balance source\n  hash-type consistent", "", False),
        ("  balance hdr(x)\n  hash-type consistent sdbm", "", False),
        ("  balance source", "balance source with hash-type map-based takes no", True),
        ("  balance hdr(x)", "balance hdr with hash-type map-based takes no", True),
        ("  balance static-rr", "balance static-rr takes no", True),
        ("  balance static-rr\n  hash-type consistent", "balance static-rr takes no", True),
        ("  balance sticky", "balance sticky takes no", True),
        ("  balance first", "balance first goes by the order", False),
        ("  cookie SRV insert", "cookie binds clients", False),
        ("  dynamic-cookie-key x", "dynamic-cookie-key binds clients", False),
        ("  server-template s 1-5 shop.example:80", "come from a server-template", False),
    ],
)
def test_backends_whose_servers_cannot_come_and_go_are_known(
    more: str, fixed: str, fixed_weights: bool
) -> None:
    found = read_configuration(backend(more)).backends["b"]
    assert bool(found.fixed) == bool(fixed)
    assert fixed in found.fixed
    assert bool(found.fixed_weights) == fixed_weights
    assert found.governed == ("server-template" in more)


def test_the_balance_of_the_defaults_holds_until_the_backend_says_otherwise() -> None:
    before = "defaults\n  balance source"
    assert read_configuration(backend("", before)).backends["b"].fixed
    assert not read_configuration(backend("  balance leastconn", before)).backends["b"].fixed


@pytest.mark.parametrize(
    "line",
    [
        "  use-server a if { path /x }",
        "  http-request deny if { srv_is_up(b/a) }",
        "  http-request set-header X %[srv_conn(a)]",
    ],
)
def test_a_server_that_rules_name_is_not_taken_away(line: str) -> None:
    assert server("a 127.0.0.1:80", line).fixed == "a rule names it"


def test_a_server_that_is_tracked_is_not_taken_away() -> None:
    text = backend("  server a 127.0.0.1:80 check\n  server c 127.0.0.1:81 track b/a")
    found = read_configuration(text).backends["b"].servers
    assert found["a"].fixed == "another server tracks it"


def test_two_files_that_differ_in_servers_only_have_the_same_frame() -> None:
    one = read_configuration(
        backend("  server a 127.0.0.1:80 # x\n  mode http", "global\n  daemon")
    )
    two = read_configuration(
        backend("# comment\n  mode    http\n server z 127.0.0.1:81\n", "global\n  daemon\n\n")
    )
    assert same_frame(one, two) == ""
    other = read_configuration(backend("  mode tcp", "global\n  daemon"))
    assert same_frame(one, other) == "the section backend b changes in more than its servers"
    more = read_configuration(backend("  mode http", "global\n  daemon") + "frontend f\n")
    assert same_frame(one, more) == "there are other sections than before"
    defaults = read_configuration(backend("  mode http\n  default-server check", "global\n daemon"))
    assert same_frame(one, defaults) == "the section backend b changes in more than its servers"


def test_a_server_line_elsewhere_is_no_server() -> None:
    found = read_configuration(
        "peers p\n  server a 127.0.0.1:1\nlisten l\n  server b 127.0.0.1:1\n"
    )
    assert list(found.backends) == ["l"]
    changed = read_configuration("peers p\n  server a 127.0.0.1:2\nlisten l\n")
    assert "peers p" in same_frame(found, changed)
