"""`longshore rebalance`: what is shown before anything is moved, and how moves are followed."""

from __future__ import annotations

import io
from typing import Any, cast

import msgspec
import pytest
from rich.console import Console

from longshore.cli.client import Platform, Unreachable
from longshore.cli.outcome import Failure
from longshore.cli.rebalance import Planned, Rebalance, arrow, follow, print_plan

_ARN = "arn:aws:ecs:us-east-1:000000000000"


def move(number: int, status: str = "PENDING", **members: Any) -> dict[str, Any]:
    instance = f"{_ARN}:container-instance/default/"
    ends = {"fromInstanceArn": f"{instance}{1:032x}", "toInstanceArn": f"{instance}{2:032x}"}
    known = {"taskArn": f"{_ARN}:task/default/{number:032x}", "serviceArn": f"{_ARN}:service/default/site"}
    return {**known, **ends, "status": status, **members}


def rebalance(status: str, *moves: dict[str, Any]) -> dict[str, Any]:
    known = {"rebalanceArn": "r", "clusterArn": "c", "createdAt": 0.0, "maxConcurrent": 1}
    return {**known, "status": status, "moves": moves}


class Script:
    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def ecs(self, operation: str, request: dict[str, object], answer: type[Any]) -> Any:
        assert operation == "LongshoreDescribeRebalances"
        given = self.answers.pop(0)
        if isinstance(given, Failure):
            raise given
        return msgspec.convert({"rebalances": [given] if given else []}, answer)


def followed(*answers: Any) -> tuple[Rebalance, str]:
    out = io.StringIO()
    begun = msgspec.convert(rebalance("IN_PROGRESS", move(1), move(2)), Rebalance)
    console = Console(file=out, width=100, highlight=False)
    done = follow(cast(Platform, Script(*answers)), None, begun, console, pause=lambda seconds: None)
    return done, out.getvalue()


def test_every_move_is_told_when_it_begins_and_when_it_ends() -> None:
    going = rebalance("IN_PROGRESS", move(1, "MOVING", newTaskArn=f"{_ARN}:task/default/{9:032x}"), move(2))
    over = rebalance("SUCCEEDED", move(1, "DONE"), move(2, "SKIPPED", detail="the task is protected"))
    done, said = followed(going, going, Unreachable("away"), over)
    assert done.is_over
    assert said.count("is being replaced") == 1 and said.count("is replaced") == 1
    assert "stays: the task is protected" in said and "1 moved, 1 skipped" in said


def test_what_is_not_remembered_any_more_ends_the_looking_on() -> None:
    with pytest.raises(Failure):
        followed(None)


@pytest.mark.parametrize("width", [80, 140])
def test_a_plan_shows_moves_and_how_things_lie_before_and_after(width: int) -> None:
    instance = {
        "containerInstanceArn": f"{_ARN}:container-instance/default/{1:032x}",
        "ec2InstanceId": f"i-{1:017x}",
        "availabilityZone": "us-east-1a",
        "cpuPercentBefore": 75,
        "cpuPercentAfter": 25,
        "memoryPercentBefore": 6,
        "memoryPercentAfter": 6,
        "tasksBefore": 6,
        "tasksAfter": 2,
    }
    service = {
        "serviceArn": f"{_ARN}:service/default/site",
        "zonesBefore": {"us-east-1a": 6, "us-east-1b": 0},
        "zonesAfter": {"us-east-1a": 3, "us-east-1b": 3},
        "instancesBefore": 1,
        "instancesAfter": 2,
        "mostOnOneBefore": 6,
        "mostOnOneAfter": 3,
    }
    left = {"serviceArn": f"{_ARN}:service/default/other", "leftBecause": "a deployment is going on"}
    moves = [move(number, reason="6 of site in us-east-1a, 0 in us-east-1b") for number in range(50)]
    planned = msgspec.convert({"clusterArn": "c", "moves": moves, "services": [service, left], "instances": [instance]}, Planned)
    out = io.StringIO()
    print_plan(Console(file=out, width=width, highlight=False), planned)
    said = out.getvalue()
    assert "50 moves" in said and "… and 10 more" in said
    assert "us-east-1a 6 → 3" in said and "75 → 25" in said
    assert "other is left as it is: a deployment is going on" in said
    assert all(len(line) <= width for line in said.splitlines())


def test_what_stays_is_one_number() -> None:
    assert (arrow(3, 3), arrow(3, 4)) == ("3", "3 → 4")
