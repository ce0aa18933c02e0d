"""What the encoders write, read back by the official classes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from otlp_receiver import decode, records_of, value_of
from pillion.logs import answers, otlp_json

if TYPE_CHECKING:
    from types import SimpleNamespace

NOW = 1_795_360_526_000_000_000
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=200),
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=8,
)
attributes = st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=5).map(
    lambda found: {key: value for key, value in found.items() if not key.startswith("pillion.")}
)
facts = st.fixed_dictionaries(
    {
        "body": st.binary(max_size=400),
        "time_ns": st.sampled_from([0, NOW - 5, 1, 2**62]),
        "severity": st.integers(0, 24),
        "level": st.binary(max_size=80),
        "trace": st.sampled_from([b"", bytes(range(1, 17))]),
        "span": st.sampled_from([b"", bytes(range(8, 16))]),
        "flags": st.integers(0, 255),
        "attributes": st.none() | attributes,
    }
)
records = st.lists(
    st.tuples(facts, st.integers(0, 2**62), st.integers(1, 2**62), st.booleans()), max_size=5
)


def _facts(hot: SimpleNamespace, given_facts: dict[str, Any]) -> Any:
    made = hot.facts.Facts(given_facts["body"])
    for name, value in given_facts.items():
        setattr(made, name, value)
    return made


def _check(
    found: dict[str, Any], wanted: dict[str, Any], offset: int, time_ns: int, cut: bool
) -> None:
    assert found["body"] == wanted["body"].decode("utf-8", "backslashreplace")
    assert (found["run"], found["stream"], found["offset"]) == ("r", "stdout", offset)
    assert (found["time_ns"], found["observed_ns"]) == (wanted["time_ns"], time_ns)
    assert found["severity"] == wanted["severity"]
    assert found["level"] == wanted["level"][:64].decode("utf-8", "backslashreplace")
    assert found["trace_id"] == wanted["trace"].hex()
    assert found["span_id"] == (wanted["span"].hex() if wanted["trace"] else "")
    own = dict(found["attributes"])
    assert own.pop("log.iostream") == "stdout"
    assert own.pop("pillion.cut", False) == cut
    assert own == (wanted["attributes"] or {})


CONSTANT = {"pillion.run": "r", "pillion.stream": "stdout", "log.iostream": "stdout"}


@settings(max_examples=80, deadline=None)
@given(given_records=records)
def test_protobuf_is_what_the_official_classes_read(
    hot: SimpleNamespace, given_records: list[tuple[dict[str, Any], int, int, bool]]
) -> None:
    made = hot.protobuf.ProtobufRecords(CONSTANT, "stdout")
    for wanted, offset, time_ns, cut in given_records:
        made.add(_facts(hot, wanted), offset, time_ns, cut)
    assert made.count == len(given_records)
    groups = [({"service.name": "shop", "n": -3}, [("scope", made.take())])]
    body = b"".join(hot.protobuf.request(groups))
    message = ExportLogsServiceRequest()
    message.ParseFromString(body)
    (of_resource,) = message.resource_logs
    resource = {one.key: value_of(one.value) for one in of_resource.resource.attributes}
    assert resource == {"service.name": "shop", "n": -3}
    assert [scope.scope.name for scope in of_resource.scope_logs] == ["scope"]
    found = records_of(message)
    assert len(found) == len(given_records)
    for one, (wanted, offset, time_ns, cut) in zip(found, given_records, strict=True):
        _check(one, wanted, offset, time_ns, cut)
    assert (made.size, made.count) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(given_records=records)
def test_json_is_what_the_official_classes_read(
    given_records: list[tuple[dict[str, Any], int, int, bool]],
) -> None:
    from two_speeds import BOTH

    made = otlp_json.JsonRecords(CONSTANT, "stdout")
    for wanted, offset, time_ns, cut in given_records:
        made.add(_facts(BOTH["installed"], wanted), offset, time_ns, cut)
    body = otlp_json.request([({"service.name": "shop"}, [("scope", made.take())])])
    json.loads(body)
    found = records_of(decode(body, "application/json"))
    assert len(found) == len(given_records)
    for one, (wanted, offset, time_ns, cut) in zip(found, given_records, strict=True):
        if not _has_infinity(wanted["attributes"]):  # JSON has none: it becomes null
            _check(one, wanted, offset, time_ns, cut)


def _has_infinity(value: object) -> bool:
    if isinstance(value, float):
        return value in (float("inf"), float("-inf"))
    if isinstance(value, dict):
        return any(_has_infinity(one) for one in value.values())
    return isinstance(value, list) and any(_has_infinity(one) for one in value)


@settings(max_examples=60, deadline=None)
@given(rejected=st.integers(0, 2**62), message=st.text(max_size=200))
def test_a_partial_success_is_read(rejected: int, message: str) -> None:
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = rejected
    response.partial_success.error_message = message
    assert answers.partial_success(response.SerializeToString()) == (rejected, message)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60))
def test_an_answer_of_any_bytes_is_read_or_refused(data: bytes) -> None:
    try:
        answers.partial_success(data)
    except ValueError:
        return


@settings(max_examples=200, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=120),
        st.text(max_size=60).map(str.encode),
        st.dictionaries(
            st.sampled_from(
                ["msg", "level", "time", "ts", "trace_id", "span", "trace", "log", "x"]
            ),
            values,
            max_size=6,
        ).map(lambda found: json.dumps(found).encode()),
        st.lists(
            st.sampled_from(
                [
                    b"2026-11-22T15:15:26",
                    b".5Z",
                    b" ",
                    b"INFO",
                    b"[",
                    b"]",
                    b"error:",
                    b"<34>",
                    b"Nov 22 ",
                    b"15:15:26",
                    b"I1122 ",
                    b"level=warn",
                    b"trace_id=",
                    b"0" * 32,
                    b"\x1b[31m",
                    b"{",
                    b"}",
                ]
            ),
            max_size=8,
        ).map(b"".join),
    )
)
@example(data=b'{"time":9223372036855000}')
@example(data=b'{"time":9223372037000}')
@example(data=b'{"time":9223372036854775807}')
@example(data=b'{"time":99999999999}')
def test_both_speeds_recognise_the_same_in_anything(data: bytes) -> None:
    from two_speeds import BOTH

    def told(hot: SimpleNamespace) -> tuple[object, ...]:
        recogniser = hot.recognise.Recogniser(hot.times.TimeParser(lambda _s: 3600))
        found = recogniser.recognise(data, NOW)
        return (
            *(found.body, found.time_ns, found.severity, found.level, found.trace, found.span),
            *(found.flags, repr(found.attributes)),
        )

    assert told(BOTH["installed"]) == told(BOTH["source"])
