"""What the ambassador's workers saw, in Prometheus' text: histograms are one family, labels are escaped, and there is a bound."""

from __future__ import annotations

from pillion.ambassador.wire import Sample
from pillion.api.metrics import SAMPLES_PER_WORKER, render


def lines(*workers: tuple[str, list[Sample]]) -> list[str]:
    return render(None, {}, "0", workers).decode().splitlines()


def test_a_histogram_is_one_family_with_its_buckets_sum_and_count() -> None:
    labels = {"route": "#1"}
    found = lines(
        (
            "ambassador",
            [
                Sample("ambassador_request_duration_seconds_bucket", {**labels, "le": "0.5"}, 2),
                Sample("ambassador_request_duration_seconds_bucket", {**labels, "le": "+Inf"}, 3),
                Sample("ambassador_request_duration_seconds_sum", labels, 1.5),
                Sample("ambassador_request_duration_seconds_count", labels, 3),
                Sample("ambassador_requests_total", {**labels, "class": "2xx"}, 3),
            ],
        )
    )
    name = "pillion_ambassador_request_duration_seconds"
    at = found.index(f"# TYPE {name} histogram")
    assert found[at + 1 : at + 5] == [
        f'{name}_bucket{{component="ambassador",route="#1",le="0.5"}} 2',
        f'{name}_bucket{{component="ambassador",route="#1",le="+Inf"}} 3',
        f'{name}_sum{{component="ambassador",route="#1"}} 1.5',
        f'{name}_count{{component="ambassador",route="#1"}} 3',
    ]
    assert "# TYPE pillion_ambassador_requests_total counter" in found
    assert sum(line.startswith("# TYPE") and name in line for line in found) == 1


def test_samples_of_a_name_stand_together_whoever_they_are_of() -> None:
    sample = Sample("ambassador_retries_total", {"route": 'a"b\n'}, 1)
    found = lines(("ambassador", [sample]), ("ambassador-2", [sample]))
    at = found.index("# TYPE pillion_ambassador_retries_total counter")
    assert found[at + 1 : at + 3] == [
        'pillion_ambassador_retries_total{component="ambassador",route="a\\"b\\n"} 1',
        'pillion_ambassador_retries_total{component="ambassador-2",route="a\\"b\\n"} 1',
    ]


def test_what_is_malformed_or_too_much_is_left_out_and_counted() -> None:
    many = [Sample("n_total", {"route": str(at)}, 1) for at in range(SAMPLES_PER_WORKER + 7)]
    wrong = [Sample("Not a name", {}, 1), Sample("n_total", {"not a label": ""}, 1)]
    found = lines(("ambassador", [*wrong, *many]))
    assert found[-1] == "pillion_metrics_dropped_total 9"
    assert sum(line.startswith("pillion_n_total{") for line in found) == SAMPLES_PER_WORKER
