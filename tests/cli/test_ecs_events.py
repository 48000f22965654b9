"""`longshore events`: lines for people, times as people write them, and following over a restart."""

from __future__ import annotations

import io
from typing import Any

import pytest

from longshore.cli.client import Unreachable
from longshore.cli.ecs_events import Answer, Listed, line_of, moment_of, stream
from longshore.cli.outcome import Failure

ARN = "arn:aws:ecs:us-east-1:000000000000:"
TASK = f"{ARN}task/default/0123456789abcdef0123456789abcdef"


def event(kind: str, resource: str, **detail: Any) -> dict[str, Any]:
    return {"detail-type": kind, "time": "2026-11-28T09:30:00Z", "resources": [resource], "detail": detail}


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            event(
                "ECS Task State Change",
                TASK,
                lastStatus="STOPPED",
                desiredStatus="STOPPED",
                taskDefinitionArn=f"{ARN}task-definition/web:3",
                containers=[{"name": "app", "exitCode": 3}, {"name": "side"}],
                stoppedReason="Essential container in task exited",
            ),
            "task        default/0123456789ab          web:3  STOPPED  app exited with 3  (Essential container in task exited)",
        ),
        (
            event("ECS Task State Change", TASK, lastStatus="RUNNING", desiredStatus="STOPPED", healthStatus="HEALTHY"),
            "task        default/0123456789ab          RUNNING  to be STOPPED  HEALTHY",
        ),
        (
            event(
                "ECS Container Instance State Change",
                f"{ARN}container-instance/default/9e",
                status="DRAINING",
                agentConnected=True,
                remainingResources=[{"name": "CPU", "integerValue": 512}, {"name": "MEMORY", "integerValue": 96}],
            ),
            "instance    default/9e                    DRAINING  connected  512 CPU units and 96 MiB left",
        ),
        (
            event(
                "ECS Service Action",
                f"{ARN}service/default/web",
                eventType="ERROR",
                eventName="SERVICE_TASK_PLACEMENT_FAILURE",
                reason="RESOURCE:CPU",
            ),
            "service     default/web                   ERROR  SERVICE_TASK_PLACEMENT_FAILURE  (RESOURCE:CPU)",
        ),
        (
            event(
                "ECS Deployment State Change",
                f"{ARN}service/default/web",
                eventType="INFO",
                eventName="SERVICE_DEPLOYMENT_COMPLETED",
                reason="done.",
            ),
            "deployment  default/web                   INFO  SERVICE_DEPLOYMENT_COMPLETED  done.",
        ),
        (event("Something New", "x"), "other       x                             Something New"),
    ],
    ids=lambda value: value["detail-type"] if isinstance(value, dict) else "",
)
def test_an_event_is_one_readable_line(told: dict[str, Any], line: str) -> None:
    assert line_of(told)[21:] == line


def test_times_are_ago_or_at() -> None:
    assert moment_of("10m", 1000.0) == 400.0
    assert moment_of("3d", 10.0) == 0.0
    assert moment_of("1970-01-01T00:01:00+00:00", 5.0) == 60.0
    for wrong in ("yesterday", "10", "-5m", "10m later", ""):
        with pytest.raises(Failure):
            moment_of(wrong, 5.0)


class Script:
    """A platform that answers as it is told, one answer after the other."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, object]] = []

    def __call__(self, request: dict[str, object]) -> Answer:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if answer is None:
            raise Unreachable("nothing answers", "")
        return answer


def page(*numbers: int, cursor: str, more: bool = False, missed: bool = False) -> Answer:
    return Answer(tuple(Listed(str(number), {"number": number}) for number in numbers), cursor, more, missed)


def test_all_that_there_is_since_a_time_is_read_page_by_page() -> None:
    script = Script(page(1, 2, cursor="2", more=True), page(3, cursor="3"))
    assert [one["number"] for one in stream(script, {"cluster": "x"}, {"startTime": 5.0}, follow=False)] == [1, 2, 3]
    assert script.asked == [{"cluster": "x", "startTime": 5.0, "maxResults": 500}, {"cluster": "x", "cursor": "2", "maxResults": 500}]


def test_following_survives_a_restart_where_it_was() -> None:
    notes = io.StringIO()
    script = Script(page(1, cursor="1"), None, None, page(2, cursor="2", missed=True), page(cursor="2"), page(3, cursor="3"))
    pauses: list[float] = []
    following = stream(script, {}, {"newest": 20}, follow=True, pause=pauses.append, notes=notes)
    assert [next(following)["number"] for _ in range(3)] == [1, 2, 3]
    assert len(pauses) == 2
    assert notes.getvalue().splitlines() == [
        "the platform does not answer; waiting for it",
        "some events are too old to be kept and are not shown",
    ]
    assert [asked.get("cursor") for asked in script.asked] == [None, "1", "1", "1", "2", "2"]
    assert all(asked["waitSeconds"] for asked in script.asked[1:])
    assert "waitSeconds" not in script.asked[0]


def test_a_platform_that_never_answered_is_a_failure() -> None:
    with pytest.raises(Unreachable):
        next(stream(Script(None), {}, {"newest": 1}, follow=True))
