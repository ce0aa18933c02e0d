"""No value of the settings breaks out of the configuration: what is read back is what was put in, and there is not one directive more."""

from __future__ import annotations

import os
import subprocess
import tempfile

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from offload_running import NGINX, Offloaded
from pillion.proxies.offload.configuration import render
from pillion.proxies.offload.text import DOLLAR, literal, word
from pillion.proxies.templating.rendered import RenderError
from pillion.settings.offload import Offload

NASTY = st.text(
    st.sampled_from("abc/ \"'\\${}();#~*?[]<>|&!=,.:üЖ漢🎈tnrx0")
    | st.characters(exclude_categories=["Cs", "Cc"]),
    min_size=1,
    max_size=60,
)


def read(text: str) -> list[list[str]]:
    """The words of each directive, read as ngx_conf_read_token does; `{` and `}` are directives of their own."""
    found: list[list[str]] = []
    words: list[str] = []
    at = 0
    while at < len(text):
        one = text[at]
        if one in " \t\n":
            at += 1
        elif one == "#":
            at = text.index("\n", at)
        elif one in ";{}":
            found.append([*words, one])
            words, at = [], at + 1
        elif one in "\"'":
            at += 1
            held = ""
            while text[at] != one:
                if text[at] == "\\" and text[at + 1] in "\"'\\trn":
                    held += {"t": "\t", "r": "\r", "n": "\n"}.get(text[at + 1], text[at + 1])
                    at += 2
                else:
                    held += text[at]
                    at += 1
            words.append(held)
            at += 1
            assert text[at] in " \t\n;{)", (
                f"a word that does not end: {held!r}{text[at : at + 9]!r}"
            )
        else:
            start = at
            while text[at] not in " \t\n;{" or text[at - 1 : at + 1] == "${":
                at += 1
            words.append(text[start:at])
    assert not words
    return found


@given(NASTY)
def test_a_word_is_one_word_and_means_itself(value: str) -> None:
    assert read(f"name {word(value)};") == [["name", value, ";"]]


@given(NASTY)
def test_a_literal_has_no_variable_but_the_dollar(value: str) -> None:
    assert "$" not in literal(value).replace(DOLLAR, "")
    assert literal(value).replace(DOLLAR, "$") == value


@given(st.text(min_size=1, max_size=20))
def test_what_cannot_be_told_is_refused(value: str) -> None:
    fit = not any(ord(c) < 0x20 or ord(c) == 0x7F or 0xD800 <= ord(c) < 0xE000 for c in value)
    if fit:
        assert read(f"name {word(value)};") == [["name", value, ";"]]
    else:
        with pytest.raises(RenderError, match=r"^cannot render offload: "):
            word(value)


@given(root=NASTY, private=NASTY, index=NASTY, value=NASTY, base=NASTY)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_shape_is_the_same_whatever_the_values(
    root: str, private: str, index: str, value: str, base: str
) -> None:
    with_values = _shape(f"/{root}", f"/{private}", index, value, f"/{base}")
    assert with_values == _shape("/root", "/private", "index.html", "value", "/base")


_front = Offloaded()
_facts = _front.facts
_front.close()


def _shape(root: str, private: str, index: str, value: str, base: str) -> list[tuple[str, int]]:
    facts = msgspec.structs.replace(
        _facts,
        facts=msgspec.structs.replace(
            _facts.facts, directory=f"{base}/conf", proof_path=f"{base}/proof"
        ),
    )
    made = Offload(
        root=root,
        protected=private,
        index=index,
        headers={"X-Test": value},
        spa=True,
        precompress=True,
        microcache_s=1.0,
    )
    return [(words[0], len(words)) for words in read(render(made, facts).files[0].text)]


@given(name=NASTY, value=NASTY)
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_nginx_reads_it_as_we_do(name: str, value: str) -> None:
    name = name.replace("/", "_")
    assume(name not in (".", "..") and len(name.encode()) < 200)
    with tempfile.TemporaryDirectory() as base:
        root = os.path.join(base, name)
        os.mkdir(root)
        facts = msgspec.structs.replace(
            _facts,
            facts=msgspec.structs.replace(
                _facts.facts, directory=f"{root}/conf", proof_path=f"{base}/proof"
            ),
        )
        for place in ("temporary", "cache"):
            os.mkdir(os.path.join(root, place))
        made = Offload(
            root=root,
            protected=root,
            index=name,
            headers={"X-Test": value},
            spa=True,
            microcache_s=1.0,
            precompress=True,
        )
        path = os.path.join(base, "nginx.conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(render(made, facts).files[0].text)
        done = subprocess.run(
            [NGINX, "-t", "-q", "-c", path, "-p", base, "-e", "stderr", "-g", f"pid {base}/pid;"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            errors="replace",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(os.listdir(root)) == ["cache", "temporary"]
