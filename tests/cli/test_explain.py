"""`longshore explain`: what is asked, and how verdicts are told."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
from rich.console import Console

from longshore.cli.explain import constraint_of, strategy_of, what_if
from longshore.cli.explain_answers import Instance, Placement
from longshore.cli.explain_tables import complaints, print_placement, print_scheduler
from longshore.cli.outcome import Failure
from longshore.cli.service_answers import Explained

_ARN = "arn:aws:ecs:us-east-1:000000000000"
CPU = {"name": "CPU", "asked": 256, "free": 1024, "registered": 2048, "fits": True}


def instance(number: int, verdict: str, **members: Any) -> dict[str, Any]:
    arn = f"{_ARN}:container-instance/default/{number:032x}"
    known = {"containerInstanceArn": arn, "ec2InstanceId": f"i-{number:017x}", "availabilityZone": "us-east-1a"}
    return {**known, "status": "ACTIVE", "agentConnected": True, "verdict": verdict, "resources": [CPU], **members}


def placement(*instances: dict[str, Any], **members: Any) -> dict[str, Any]:
    placed = [one["containerInstanceArn"] for one in instances if one["verdict"] == "CHOSEN"]
    return {
        "clusterArn": f"{_ARN}:cluster/default",
        "taskDefinitionArn": f"{_ARN}:task-definition/web:3",
        "group": "family:web",
        "asked": {"cpu": 256, "memory": 512, "launchType": "EC2", "ports": [{"port": 80, "protocol": "tcp"}]},
        "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        "count": 1,
        "placed": len(placed),
        "placements": placed,
        "instances": instances,
        **members,
    }


def shown(found: dict[str, Any], width: int = 80, *, hypothetical: bool = False) -> str:
    out = io.StringIO()
    print_placement(Console(file=out, width=width, highlight=False), msgspec.convert(found, Placement), hypothetical=hypothetical)
    return out.getvalue()


def test_the_chosen_instance_comes_with_its_scores() -> None:
    scores = [{"type": "spread", "field": "instanceId", "score": 0, "best": 0, "kept": True}]
    worse = [{"type": "spread", "field": "instanceId", "score": 2, "best": 0, "kept": False}]
    said = shown(placement(instance(1, "CHOSEN", rank=1, scores=scores), instance(2, "FITS", rank=2, scores=worse)), 140)
    assert "It would go to i-00000000000000001" in said
    assert "256 of 1024 CPU units; 0 of the group on it" in said
    assert "2 of the group on it (best 0)" in said


def test_a_refusal_names_the_closest_and_counts_the_others() -> None:
    failure = {
        "reason": "RESOURCE:CPU",
        "message": "The closest matching (container-instance 1) …",
        "refusals": {"RESOURCE:CPU": 2, "AGENT": 1},
    }
    said = shown(placement(instance(1, "REFUSED"), failure=failure))
    assert "It would find no place" in said and "The closest matching" in said
    assert "2 × RESOURCE:CPU, 1 × AGENT" in said


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"agentConnected": False}, "its agent is not connected"),
        ({"status": "DRAINING"}, "it is DRAINING"),
        ({"missingAttributes": ["gpu"]}, "it lacks gpu"),
        ({"resources": [{**CPU, "free": 10, "fits": False}]}, "256 CPU units asked, 10 of 2048 free"),
        ({"ports": [{"port": 80, "protocol": "tcp", "free": False}]}, "port 80/tcp is taken"),
        ({"constraints": [{"type": "memberOf", "expression": "attribute:a == b", "satisfied": False}]}, "not so: attribute:a == b"),
        ({"constraints": [{"type": "distinctInstance", "satisfied": False}]}, "not so: distinctInstance"),
        ({"reasons": ["LOCATION"]}, "LOCATION"),
    ],
)
def test_every_complaint_has_its_words(members: dict[str, Any], complaint: str) -> None:
    assert complaints(msgspec.convert(instance(1, "REFUSED", **members), Instance)) == [complaint]


@pytest.mark.parametrize("width", [80, 140])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    reasons = instance(1, "REFUSED", missingAttributes=[f"com.amazonaws.ecs.capability.number-{number}" for number in range(9)])
    said = shown(placement(instance(2, "CHOSEN"), reasons, instancesLeftOut=3, count=4), width, hypothetical=True)
    assert all(len(line) <= width for line in said.splitlines())
    assert "1 of 4 would then go to" in said and "and 3 more instances" in said


def test_what_a_scheduler_would_do_is_told() -> None:
    step = {"action": "START", "deploymentId": "ecs-svc/1", "count": 2, "reason": "2 wanted"}
    outlook = {"desiredCount": 2, "leastHealthy": 1, "mostTasks": 4, "next": [step], "lookAgainAt": 0.0}
    told = {"serviceArn": "s", "status": "ACTIVE", "steady": False, "evaluatedAt": 0.0, "outlook": outlook}
    out = io.StringIO()
    print_scheduler(Console(file=out, width=80, highlight=False), msgspec.convert(told, Explained))
    assert "2 wanted, at least 1 healthy, at most 4 at once" in out.getvalue()
    assert "next: start 2 of ecs-svc/1: 2 wanted" in out.getvalue()


def test_zones_are_told_from_instances() -> None:
    asked = what_if(["i-1"], ["us-east-1a", "i-2", "mi-3"], 5, None)
    assert asked == {"whatIf": {"drainedInstances": ["i-1"], "lostZones": ["us-east-1a"], "lostInstances": ["i-2", "mi-3"], "cpu": 5}}
    assert what_if(None, None, None, None) == {}


def test_constraints_and_strategies_are_written_short() -> None:
    assert constraint_of("distinctInstance") == {"type": "distinctInstance"}
    assert constraint_of("attribute:a == b") == {"type": "memberOf", "expression": "attribute:a == b"}
    assert strategy_of("spread=instanceId") == {"type": "spread", "field": "instanceId"}
    assert strategy_of("random") == {"type": "random"}
    for text in ("spread", "random=x", "binpack", "fill=cpu"):
        with pytest.raises(Failure):
            strategy_of(text)
