"""What containers use, in the units of the telemetry protocol."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from longshore.agent.metrics import cpu_percent, metrics_messages
from longshore.runtime.base import Usage

SECOND = 1_000_000_000


def usage(at: float, cpu_s: float, **more: Any) -> Usage:
    return Usage(at=at, cpu_ns=int(cpu_s * SECOND), cpus=4, memory_bytes=1, **more)


@pytest.mark.parametrize(("cpu_s", "percent"), [(0.0, 0.0), (10.0, 25.0), (40.0, 100.0), (99.0, 100.0), (-1.0, 0.0)])
def test_cpu_is_in_percent_of_the_whole_machine(cpu_s: float, percent: float) -> None:
    assert cpu_percent(usage(0, 5), usage(10, 5 + cpu_s)) == pytest.approx(percent)


def test_an_idle_machine_says_so() -> None:
    [message] = metrics_messages({"cluster": "c"}, ["m"], [], 1.0)
    assert message == {"metadata": {"cluster": "c", "messageId": "m", "idle": True, "fin": True}, "timestamp": 1.0}


def test_ten_tasks_go_in_one_message_and_the_last_one_says_that_it_is() -> None:
    tasks = [{"taskArn": str(number)} for number in range(23)]
    messages = metrics_messages({}, ["a", "b", "c"], tasks, 1.0)
    assert [len(message["taskMetrics"]) for message in messages] == [10, 10, 3]
    assert [message["metadata"]["fin"] for message in messages] == [False, False, True]
    assert [message["metadata"]["messageId"] for message in messages] == ["a", "b", "c"]
    assert json.loads(msgspec.json.encode(messages[0]))
