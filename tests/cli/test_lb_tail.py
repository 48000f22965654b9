"""What `longshore lb tail` and `longshore lb metrics` make of what they are told."""

from __future__ import annotations

import pytest

from longshore.cli.lb_tail import Request, Series, filters_of, holds, seconds_of, table_of, text_of, without_logs
from longshore.cli.outcome import Failure

SEEN = Request(
    "2026-11-28T06:33:14.417761Z", "10.0.0.9:55318", "GET", "x.test", "/a", "502", "-", 12, "10.0.0.1:80", rule="10", actions="forward"
)


def test_a_request_is_a_line_with_who_what_and_how_long() -> None:
    assert text_of(SEEN).split() == ["06:33:14.417", "10.0.0.9:55318", "GET", "x.test/a", "502/-", "12", "ms", "10.0.0.1:80"]


@pytest.mark.parametrize(
    ("filters", "is_shown"),
    [
        (["status=5xx"], True),
        (["status=4xx"], False),
        (["path=/a*", "method=GET"], True),
        (["path=/a*", "method=PUT"], False),
        (["host=x.tes"], False),
        (["path=/."], False),
    ],
)
def test_all_filters_must_hold(filters: list[str], is_shown: bool) -> None:
    assert holds(SEEN, filters_of(filters)) is is_shown


@pytest.mark.parametrize("text", ["status", "colour=red", ""])
def test_what_is_no_filter_is_said_to_be_none(text: str) -> None:
    with pytest.raises(Failure, match="no filter"):
        filters_of([text])


def test_lengths_of_time_have_units() -> None:
    assert [seconds_of(text) for text in ("90s", "15m", "6h", "2d", "1s")] == [90, 900, 21_600, 172_800, 60]
    with pytest.raises(Failure):
        seconds_of("soon")


def test_metrics_are_a_table_with_the_load_balancers_own_first() -> None:
    own = Series("RequestCount", "Count", {"LoadBalancer": "app/web/1"}, 2, 7, 3, 4)
    group = Series(
        "TargetResponseTime", "Seconds", {"LoadBalancer": "app/web/1", "TargetGroup": "targetgroup/tg/2"}, 4, 0.01, 0, 0.005, 0.002, 0.004
    )
    lines = [line.split() for line in table_of((group, own))]
    assert lines[1] == ["RequestCount", "-", "7", "3.5", "3", "4", "-", "-"]
    assert lines[2] == ["TargetResponseTime", "tg/2", "0.01", "0.0025", "0", "0.005", "0.002", "0.004"]
    assert list(table_of(())) == ["nothing was measured in that time"]


def test_who_keeps_no_access_logs_is_not_asked_about_hosts() -> None:
    assert "without their hosts" in without_logs("web", filters_of(["status=5xx", "host=*"]))
    with pytest.raises(Failure, match="nobody notes hosts"):
        without_logs("web", filters_of(["status=5xx", "host=x.test"]))
