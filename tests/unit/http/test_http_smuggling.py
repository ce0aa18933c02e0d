"""Request smuggling by name: every message here has two readings, so none may be read."""

from types import ModuleType

import pytest
from test_http_requests import POST, refusal, run

CL = b"Content-Length: 4\r\n"
TE = b"Transfer-Encoding: chunked\r\n"
CHUNKED = POST + TE + b"\r\n"
END = b"0\r\n\r\n"

FRAMING = {
    "CL.TE": CL + TE,
    "TE.CL": TE + CL,
    "CL.CL different": b"Content-Length: 4\r\nContent-Length: 5\r\n",
    "CL.CL identical": CL + CL,
    "CL list different": b"Content-Length: 4, 5\r\n",
    "CL list identical": b"Content-Length: 4, 4\r\n",
    "CL plus sign": b"Content-Length: +4\r\n",
    "CL minus sign": b"Content-Length: -1\r\n",
    "CL hexadecimal": b"Content-Length: 0x4\r\n",
    "CL octal": b"Content-Length: 04\r\n",
    "CL underscore": b"Content-Length: 1_0\r\n",
    "CL fraction": b"Content-Length: 4.0\r\n",
    "CL exponent": b"Content-Length: 4e0\r\n",
    "CL empty": b"Content-Length:\r\n",
    "CL overflow": b"Content-Length: 18446744073709551620\r\n",
    "CL other digits": "Content-Length: \uff14\r\n".encode(),
    "CL superscript": b"Content-Length: \xb2\r\n",
    "CL inner white space": b"Content-Length: 1 2\r\n",
    "CL0 on a name with a space": b"Content-Length : 4\r\n",
    "CL0 folded": b"Content-Length:\r\n 4\r\n",
    "TE.TE x": b"Transfer-Encoding: xchunked\r\n",
    "TE.TE two fields": TE + TE,
    "TE.TE two fields, one unknown": TE + b"Transfer-Encoding: identity\r\n",
    "TE.TE list": b"Transfer-Encoding: chunked, chunked\r\n",
    "TE.TE chunked not last": b"Transfer-Encoding: chunked, gzip\r\n",
    "TE.TE chunked last": b"Transfer-Encoding: gzip, chunked\r\n",
    "TE.TE identity": b"Transfer-Encoding: identity\r\n",
    "TE.TE identity, chunked": b"Transfer-Encoding: identity, chunked\r\n",
    "TE.TE empty": b"Transfer-Encoding:\r\n",
    "TE.TE empty member": b"Transfer-Encoding: ,chunked\r\n",
    "TE.TE parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "TE.TE quoted": b'Transfer-Encoding: "chunked"\r\n',
    "TE.TE space before colon": b"Transfer-Encoding : chunked\r\n",
    "TE.TE tab before colon": b"Transfer-Encoding\t: chunked\r\n",
    "TE.TE leading space": b" Transfer-Encoding: chunked\r\n",
    "TE.TE vertical tab": b"Transfer-Encoding:\x0bchunked\r\n",
    "TE.TE trailing vertical tab": b"Transfer-Encoding: chunked\x0b\r\n",
    "TE.TE folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "TE.TE hidden by a bare LF": b"X: y\nTransfer-Encoding: chunked\r\n",
    "TE.TE hidden by a bare CR": b"X: y\rTransfer-Encoding: chunked\r\n",
    "TE.TE NUL": b"Transfer-Encoding: chunked\x00\r\n",
    "TE.TE NUL in the name": b"Transfer-Encoding\x00: chunked\r\n",
    "TE.TE underscore and CL": b"Transfer-Encoding: chun_ked\r\n" + CL,
    "TE.TE Kelvin sign": "Transfer-Encoding: chun\u212aed\r\n".encode(),
    "Host twice": b"Host: b\r\n",
    "Host twice identical": b"Host: a\r\n",
    "no colon": b"Transfer-Encoding chunked\r\n",
    "body on an upgrade": b"Connection: upgrade\r\nUpgrade: h2c\r\n" + CL,
    "chunked body on an upgrade": b"Connection: upgrade\r\nUpgrade: websocket\r\n" + TE,
}


@pytest.mark.parametrize("name", FRAMING)
def test_framing(codec: ModuleType, name: str) -> None:
    assert refusal(codec, POST + FRAMING[name] + b"\r\n" + b"4\r\nGET \r\n0\r\n\r\n") == 400


def test_transfer_encoding_in_http_1_0(codec: ModuleType) -> None:
    assert refusal(codec, b"POST / HTTP/1.0\r\nHost: a\r\n" + TE + b"\r\n" + END) == 400


def test_a_body_on_connect(codec: ModuleType) -> None:
    head = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n"
    assert refusal(codec, head + CL + b"\r\nGET ") == 400
    assert refusal(codec, head + TE + b"\r\n" + END) == 400


CHUNKS = {
    "0x": b"0x4\r\nabcd\r\n",
    "plus sign": b"+4\r\nabcd\r\n",
    "minus sign": b"-4\r\nabcd\r\n",
    "underscore": b"1_0\r\nabcd\r\n",
    "leading space": b" 4\r\nabcd\r\n",
    "trailing space": b"4 \r\nabcd\r\n",
    "trailing tab": b"4\t\r\nabcd\r\n",
    "empty": b"\r\nabcd\r\n",
    "only an extension": b";a\r\nabcd\r\n",
    "not hexadecimal": b"g\r\nabcd\r\n",
    "overflow of 64 bits": b"10000000000000004\r\nabcd\r\n",
    "overflow of 32 bits": b"100000004\r\nabcd\r\n",
    "bare LF after the size": b"4\nabcd\r\n",
    "bare CR after the size": b"4\rabcd\r\n",
    "CR CR LF after the size": b"4\r\r\nabcd\r\n",
    "bare LF after the data": b"4\r\nabcd\n0\r\n\r\n",
    "bare CR after the data": b"4\r\nabcd\r0\r\n\r\n",
    "longer than it says": b"4\r\nabcde\r\n",
    "any two bytes after the data": b"4\r\nabcdXX0\r\n\r\n",
    "LF LF after the data": b"4\r\nabcd\n\n0\r\n\r\n",
    "LF in an extension": b"4;a\nb\r\nabcd\r\n",
    "CR in an extension": b"4;a\rb\r\nabcd\r\n",
    "LF in a quoted extension": b'4;a="\n"\r\nabcd\r\n',
    "NUL in an extension": b"4;a\x00\r\nabcd\r\n",
    "unclosed quote": b'4;a="b\r\nabcd\r\n',
    "space in an extension": b"4; a=b\r\nabcd\r\n",
    "extension without a name": b"4;\r\nabcd\r\n",
    "extension without a value": b"4;a=\r\nabcd\r\n",
    "extension without a semicolon": b"4 a=b\r\nabcd\r\n",
    "bare LF after the last chunk": b"0\n\r\n",
    "bare LF for the last line": b"0\r\n\n",
    "bare LF in a trailer": b"0\r\nA: b\n\r\n",
    "trailer folded": b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": b"0\r\nA\r\n\r\n",
    "trailer with a space before the colon": b"0\r\nA : b\r\n\r\n",
    "content-length as a trailer": b"0\r\nContent-Length: 3\r\n\r\n",
    "transfer-encoding as a trailer": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "host as a trailer": b"0\r\nHost: b\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(codec: ModuleType, name: str) -> None:
    limits = codec.Limits(body_bytes=1 << 31)
    assert refusal(codec, CHUNKED + CHUNKS[name], limits=limits) in (400, 413)


def test_extensions_are_bounded_in_one_chunk_and_over_all(codec: ModuleType) -> None:
    limits = codec.Limits(extension_bytes=20)
    assert refusal(codec, CHUNKED + b"1;" + b"a" * 100, limits=limits) == 400
    assert refusal(codec, CHUNKED + b"1;aaaaaaaa\r\nx\r\n" * 3, limits=limits) == 400
    run(codec, CHUNKED + b"1;aaaaaaaa\r\nx\r\n" * 2 + END, limits=limits)


def test_a_size_without_end_is_refused_before_its_line_ends(codec: ModuleType) -> None:
    assert refusal(codec, CHUNKED + b"0" * 16) == 400


def test_what_stands_after_a_message_is_the_next_one_and_nothing_else(codec: ModuleType) -> None:
    data = POST + b"Content-Length: 0\r\n\r\nGPOST / HTTP/1.1\r\nHost: a\r\n\r\n"
    heads = [e for e in run(codec, data) if isinstance(e, codec.RequestHead)]
    assert [h.method for h in heads] == ["POST", "GPOST"]
