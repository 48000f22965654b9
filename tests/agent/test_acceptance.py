"""Which tasks are taken on, and in which words the others are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.agent.acceptance import Refused, Unreadable, parts, read_task
from longshore.agent.lifecycle import Condition, Dependency, Restarts
from tests.agent.platform import container, task


def read(raw: dict[str, Any]) -> Any:
    return read_task(json.dumps(raw).encode())


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (task(1, volumes=[{"name": "q", "type": "weird"}]), 'Error loading task - unrecognized volume type: "weird"'),
        (task(1, container(cpu="many")), "Error loading task - "),
        (task(1, container(), container()), "two containers have the same name"),
        (task(1, container(overrides='{"cpu": 1}')), "Error loading task - container main: overrides"),
        (task(1, container(overrides='{"entryPoint": ["x"]}')), 'unrecognized override "entryPoint"'),
        (task(1, container(healthCheckType="docker")), "health check type docker without a health check"),
        (task(1, container(dockerConfig={"config": "{nonsense"})), "docker config"),
        (task(1, container(mountPoints=[{"sourceVolume": "none", "containerPath": "/x"}])), "which the task does not have"),
        (task(1, container(portMappings=[{"containerPortRange": "9-3"}])), '"9-3" is not a range of ports'),
        (task(1, volumes=[{"name": "v", "type": "docker"}]), "empty volume configuration"),
        (task(1, networkMode="awsvpc"), "is to have an address of its own and was given none"),
        (task(1, container(secrets=[{"name": "S"}])), "Error loading task - "),
        (task(1, volumes=[{"name": "v", "type": "efs"}]), "the volume v is of type efs"),
        (task(1, container(registryAuthentication={"type": "other"})), "registry authentication of type other"),
    ],
)
def test_what_makes_no_sense_or_is_not_done_is_refused_by_name(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        read(raw)
    assert words in refused.value.reason
    assert refused.value.reason.startswith(("UnrecogniedTaskError: ", "ResourceInitializationError: "))
    assert refused.value.arn == raw["arn"]


def test_a_task_without_an_arn_cannot_even_be_refused() -> None:
    with pytest.raises(Unreadable):
        read({"family": "web"})


def test_a_task_to_stop_needs_nothing_but_names() -> None:
    stopped = read({"arn": "a", "desiredStatus": "STOPPED", "containers": [{"name": "main", "image": ""}]})
    assert stopped.desired_status == "STOPPED"


def test_unknown_members_are_left_out() -> None:
    assert read(task(1, somethingNew={"a": 1})).family == "web"


def test_links_and_shared_volumes_bring_dependencies_along() -> None:
    wanted = read(
        task(
            1,
            container(
                "web",
                links=["db:database"],
                volumesFrom=[{"sourceContainer": "files"}],
                dependsOn=[{"containerName": "db", "condition": "HEALTHY"}],
            ),
            container("db"),
            container("files"),
        )
    )
    web = parts(wanted)[0]
    assert web.dependencies == (
        Dependency("db", Condition.HEALTHY),
        Dependency("db", Condition.START),
        Dependency("files", Condition.CREATE),
    )


def test_a_cycle_is_refused() -> None:
    wanted = read(
        task(
            1,
            container("a", dependsOn=[{"containerName": "b", "condition": "START"}]),
            container("b", dependsOn=[{"containerName": "a", "condition": "START"}]),
        )
    )
    with pytest.raises(Refused, match="TaskDependencyError: containers wait for each other"):
        parts(wanted)


def test_timeouts_and_restart_policies_have_their_defaults() -> None:
    [plain] = parts(read(task(1)))
    assert (plain.stop_timeout_s, plain.start_timeout_s, plain.restarts) == (30, None, None)
    policy = {"enabled": True, "ignoredExitCodes": [0]}
    [other] = parts(read(task(1, container(stopTimeout=2, startTimeout=9, restartPolicy=policy))))
    assert (other.stop_timeout_s, other.start_timeout_s) == (2, 9)
    assert other.restarts == Restarts(frozenset({0}), 60.0)
