"""`longshore service`: what is shown of services, and how a deployment is followed to its end."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
from rich.console import Console

from longshore.cli.client import Home, Platform, Unreachable
from longshore.cli.deploying import Deploying, Wanted, traffic_line
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service_answers import Explained, GroupTraffic, Service, Traffic
from longshore.cli.service_tables import print_services, short_event, tree_of

_ARN = "arn:aws:ecs:us-east-1:000000000000"


def service(definition: str = "site:1", **members: Any) -> dict[str, Any]:
    deployments = [{"id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": "COMPLETED"}]
    return {
        "serviceArn": f"{_ARN}:service/default/site",
        "serviceName": "site",
        "clusterArn": f"{_ARN}:cluster/default",
        "status": "ACTIVE",
        "desiredCount": 2,
        "runningCount": 2,
        "taskDefinition": f"{_ARN}:task-definition/{definition}",
        "deployments": deployments,
        **members,
    }


def rollout(number: int, state: str, *, status: str = "PRIMARY", definition: str = "site:2", **members: Any) -> dict[str, Any]:
    arn = f"{_ARN}:task-definition/{definition}"
    return {"deploymentId": f"ecs-svc/{number}", "status": status, "taskDefinitionArn": arn, "rolloutState": state, **members}


def member(number: int, phase: str | None, zone: str = "us-east-1a", **members: Any) -> dict[str, Any]:
    arn = f"{_ARN}:task/default/{number:032x}"
    known = {"taskArn": arn, "deploymentId": "ecs-svc/2", "taskDefinitionArn": "d", "lastStatus": "RUNNING", "phase": phase}
    return {**known, "availabilityZone": zone, **members}


def told(*rollouts: dict[str, Any], members: tuple[dict[str, Any], ...] = (), waits: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    outlook = {"desiredCount": 2, "leastHealthy": 2, "mostTasks": 4, "members": members, "waits": waits}
    known = {"serviceArn": "s", "status": "ACTIVE", "steady": False, "evaluatedAt": 0.0}
    return {**known, "deployments": rollouts, "outlook": outlook, **more}


class Script:
    """A platform that answers as it is told to: one answer an operation, or several, the last again and again."""

    endpoint = "http://127.0.0.1:4566"

    def __init__(self, **answers: Any) -> None:
        definition = {"taskDefinitionArn": f"{_ARN}:task-definition/site:1", "family": "site"}
        containers = [{"name": "app", "image": "site:1"}]
        self.answers: dict[str, Any] = {
            "DescribeServices": {"services": [service()]},
            "DescribeTaskDefinition": {"taskDefinition": {**definition, "containerDefinitions": containers}},
            "RegisterTaskDefinition": {"taskDefinition": {**definition, "taskDefinitionArn": f"{_ARN}:task-definition/site:2"}},
            "UpdateService": {"service": service("site:2", deployments=[{"id": "ecs-svc/2", "status": "PRIMARY"}])},
            "LongshoreGetServiceTraffic": {"serviceArn": "s", "traffic": {}},
            "LongshoreListTaskHistory": {"tasks": []},
            "DescribeImages": {"imageDetails": [{"imageDigest": "sha256:" + "d" * 64}]},
            **answers,
        }
        self.regions: list[str] = []
        self.asked: list[tuple[str, dict[str, object]]] = []

    def ecs(self, operation: str, request: dict[str, object], answer: type[Any]) -> Any:
        self.asked.append((operation, request))
        given = self.answers[operation]
        if isinstance(given, list):
            given = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(given, Failure):
            raise given
        return msgspec.convert(given, answer)

    ecr = ecs

    def home(self) -> Home:
        return Home("000000000000", "us-east-1")

    def in_region(self, region: str) -> Script:
        self.regions.append(region)
        return self

    def requests(self, operation: str) -> list[dict[str, object]]:
        return [request for name, request in self.asked if name == operation]


def deploy(script: Script, image: str = "site:2", **wanted: Any) -> tuple[ExitCode, str]:
    out, clock = io.StringIO(), [0.0]

    def pause(seconds: float) -> None:
        clock[0] += seconds

    console = Console(file=out, width=100, highlight=False)
    deploying = Deploying(cast(Platform, script), None, "site", console, now=lambda: clock[0], pause=pause)
    settings: dict[str, Any] = {"image": image, "container": None, "timeout_s": 60.0, "rollback": True, **wanted}
    return deploying.run(Wanted(**settings)), out.getvalue()


# ── deploying ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_deployment_is_followed_until_it_serves() -> None:
    going_on = told(rollout(2, "IN_PROGRESS"), members=(member(1, "STARTING"),))
    script = Script(LongshoreExplainService=[going_on, told(rollout(2, "COMPLETED"), members=(member(1, "HEALTHY"), member(2, "HEALTHY")))])
    code, said = deploy(script)
    assert code is ExitCode.OK
    assert "- site:1" in said and "+ site:2" in said
    assert "site:2 0 of 2 serving" in said and "site:2 2 of 2 serving" in said
    assert "site runs site:2" in said
    assert script.requests("UpdateService") == [
        {"service": "site", "taskDefinition": f"{_ARN}:task-definition/site:2", "forceNewDeployment": True}
    ]


def test_nothing_is_deployed_where_nothing_is_different() -> None:
    script = Script()
    code, said = deploy(script, image="site:1")
    assert code is ExitCode.OK and "already" in said
    assert not script.requests("UpdateService") and not script.requests("RegisterTaskDefinition")


@pytest.mark.parametrize(
    ("image", "account", "region"),
    [
        ("127.0.0.1:4566/site:2", "000000000000", "us-east-1"),
        ("127.0.0.1:4566/999999999999.dkr.ecr.eu-west-1/site:2", "999999999999", "eu-west-1"),
        ("999999999999.dkr.ecr.eu-west-1.localhost:4566/site:2", "999999999999", "eu-west-1"),
    ],
)
def test_a_tag_of_the_platforms_own_registry_is_deployed_by_its_digest(image: str, account: str, region: str) -> None:
    script = Script(LongshoreExplainService=told(rollout(2, "COMPLETED")))
    assert deploy(script, image)[0] is ExitCode.OK
    assert script.requests("DescribeImages") == [{"registryId": account, "repositoryName": "site", "imageIds": [{"imageTag": "2"}]}]
    assert script.regions == [region]
    (registered,) = script.requests("RegisterTaskDefinition")
    assert registered["containerDefinitions"] == [{"name": "app", "image": f"{image.removesuffix(':2')}@sha256:{'d' * 64}"}]


def test_a_tag_of_another_registry_is_deployed_as_it_is() -> None:
    image = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/site:2"
    script = Script(LongshoreExplainService=told(rollout(2, "COMPLETED")))
    assert deploy(script, image)[0] is ExitCode.OK
    assert not script.requests("DescribeImages")
    (registered,) = script.requests("RegisterTaskDefinition")
    assert registered["containerDefinitions"] == [{"name": "app", "image": image}]


def test_a_platform_that_restarts_is_waited_for() -> None:
    script = Script(LongshoreExplainService=[Unreachable("away"), told(rollout(2, "COMPLETED"))])
    assert deploy(script)[0] is ExitCode.OK


FAILED = {"taskArn": f"{_ARN}:task/default/abc", "taskDefinitionArn": f"{_ARN}:task-definition/site:2", "stoppedAt": 1.0}
RECORD = {"containers": [{"name": "app", "exitCode": 3, "oomKilled": True, "logTail": "one\ncannot open\x1b[31m the database\n"}]}


def test_what_failed_says_its_last_words_and_is_taken_back() -> None:
    script = Script(
        LongshoreExplainService=[
            told(rollout(2, "FAILED")),
            told(rollout(2, "FAILED")),
            told(rollout(3, "COMPLETED", definition="site:1")),
        ],
        LongshoreListTaskHistory={"tasks": [FAILED]},
        LongshoreGetTaskRecord=RECORD,
    )
    code, said = deploy(script)
    assert code is ExitCode.FAILED
    assert "app: exited with 3, out of memory; its last lines:" in said
    assert "| cannot open" in said and "\x1b" not in said
    assert "taking it back: site:1 again" in said
    assert [request["taskDefinition"] for request in script.requests("UpdateService")][-1] == f"{_ARN}:task-definition/site:1"


def test_what_the_circuit_breaker_takes_back_is_not_taken_back_twice() -> None:
    broken = told(rollout(3, "IN_PROGRESS", definition="site:1", rollsBack="ecs-svc/2"), rollout(2, "FAILED", status="INACTIVE"))
    script = Script(LongshoreExplainService=[broken, broken, told(rollout(3, "COMPLETED", definition="site:1"))])
    code, said = deploy(script)
    assert code is ExitCode.FAILED and "the circuit breaker takes it back" in said
    assert len(script.requests("UpdateService")) == 1


def test_what_the_circuit_breaker_takes_back_has_as_long_as_the_deployment_had() -> None:
    going_on = told(rollout(2, "IN_PROGRESS"))
    broken = told(rollout(3, "IN_PROGRESS", definition="site:1", rollsBack="ecs-svc/2"), rollout(2, "FAILED", status="INACTIVE"))
    back = told(rollout(3, "COMPLETED", definition="site:1"))
    script = Script(LongshoreExplainService=[*[going_on] * 115, broken, broken, *[broken] * 50, back])
    code, said = deploy(script)
    assert code is ExitCode.FAILED
    assert "site runs site:1 again" in said and "is not back" not in said


@pytest.mark.parametrize(("rollback", "updates"), [(True, 2), (False, 1)])
def test_what_takes_too_long_is_taken_back_unless_told_otherwise(rollback: bool, updates: int) -> None:
    script = Script(LongshoreExplainService=told(rollout(2, "IN_PROGRESS")))
    code, said = deploy(script, rollback=rollback)
    assert code is ExitCode.FAILED and "was not done after 60 s" in said
    assert len(script.requests("UpdateService")) == updates


def test_what_somebody_else_deployed_meanwhile_is_left_alone() -> None:
    script = Script(LongshoreExplainService=told(rollout(4, "IN_PROGRESS"), rollout(2, "IN_PROGRESS", status="ACTIVE")))
    code, said = deploy(script)
    assert code is ExitCode.FAILED and "was replaced" in said
    assert len(script.requests("UpdateService")) == 1


def test_a_service_that_is_not_there_ends_the_command() -> None:
    with pytest.raises(Failure, match="no service site"):
        deploy(Script(DescribeServices={"services": []}))


# ── what is counted ─────────────────────────────────────────────────────────────────────────────────────────────────


def counted(requests: int, failed: int = 0, *, counter: str = "1", unserved: int = 0) -> Traffic:
    group = GroupTraffic(target_group_arn="g", requests=requests, failed=failed, connect_errors=0, retries=0)
    return Traffic(target_groups=(group,), counter=counter, unserved=unserved)


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (counted(10, 1), counted(30, 1), "20 requests meanwhile, 0 of them failed"),
        (counted(10), counted(30, 2, unserved=1), "20 requests meanwhile, 2 of them failed; 1 to any load balancer found no target"),
        (counted(10), counted(3, counter="2"), "the load balancers began to count anew meanwhile: nothing can be said of failed requests"),
        (None, counted(3), ""),
        (Traffic(), Traffic(), ""),
    ],
)
def test_requests_are_counted_between_two_looks(before: Traffic | None, after: Traffic | None, line: str) -> None:
    assert traffic_line(before, after) == line


# ── shown ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def drawn(draw: Callable[[Console], None], width: int) -> str:
    out = io.StringIO()
    draw(Console(file=out, width=width, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_a_service_is_a_tree_of_versions_and_zones(width: int) -> None:
    old = member(3, "HEALTHY", deploymentId="ecs-svc/1", targets=[{"targetGroupArn": "g", "state": "healthy"}])
    leaving = member(4, None, "us-east-1b", deploymentId="ecs-svc/1")
    bad = member(1, "UNHEALTHY", complaint="Task failed container health checks")
    answer = told(
        rollout(2, "IN_PROGRESS", failedStarts=2),
        rollout(1, "COMPLETED", status="ACTIVE", definition="site:1"),
        members=(bad, member(2, "STARTING", "us-east-1b"), old, leaving),
        waits=("1 tasks are starting",),
    )
    explained, described = msgspec.convert(answer, Explained), msgspec.convert(service("site:2"), Service)
    said = drawn(lambda console: console.print(tree_of(described, explained)), width)
    assert "site:2  new  0 of 2 serving  2 failed" in said
    assert "us-east-1a  1 unhealthy  Task failed container health checks" in said
    assert "site:1  old  1 left" in said and "1 serving  (targets: 1 healthy)" in said and "1 leaving" in said
    assert "waiting: 1 tasks are starting" in said
    assert all(len(line) <= width for line in said.splitlines())


def test_services_are_a_table() -> None:
    described = [msgspec.convert(service(pendingCount=1), Service)]
    said = drawn(lambda console: print_services(console, described), 80)
    assert "site     2 +1 of 2  site:1  completed" in said


_GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
_TASKS = [f"(task {number:032x})" for number in range(5)]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("(service site) has reached a steady state.", "has reached a steady state."),
        (f"(service site) registered 2 targets in (target-group {_GROUP})", "registered 2 targets in (target-group web)"),
        (
            "(service site, taskSet ecs-svc/1) has begun draining connections on 1 tasks.",
            "(taskSet ecs-svc/1) has begun draining connections on 1 tasks.",
        ),
        (
            f"(service site) has started 5 tasks: {' '.join(_TASKS)}.",
            "has started 5 tasks: (task 00000000) (task 00000000) (task 00000000) and 2 more.",
        ),
        (
            f"(service site) (instance i-1) (port 80) is unhealthy in (target-group {_GROUP}) due to (reason x)",
            "(instance i-1) (port 80) is unhealthy in (target-group web) due to (reason x)",
        ),
        ("anything else", "anything else"),
    ],
)
def test_events_are_told_short(message: str, line: str) -> None:
    assert short_event(message) == line
