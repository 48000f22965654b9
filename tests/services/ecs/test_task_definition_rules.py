"""What RegisterTaskDefinition refuses, what it fills in, and what it derives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError
from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.required_attributes import required_attributes
from longshore.services.ecs.task_definition_rules import checked, compatibilities


def definition(*containers: dict[str, Any], **members: Any) -> shapes.TaskDefinition:
    named = [{"name": f"c{number}", "image": "busybox", "memory": 64, **one} for number, one in enumerate(containers or ({},))]
    document = {"family": "web", "containerDefinitions": named, **members}
    return checked(msgspec.convert(document, shapes.RegisterTaskDefinitionRequest))


FARGATE = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512"}

REFUSED: list[tuple[str, list[dict[str, Any]], dict[str, Any], str]] = [
    ("no family", [{}], {"family": ""}, "Family should not be empty"),
    ("a family with a blank", [{}], {"family": "a b"}, "Family contains invalid characters."),
    ("a long family", [{}], {"family": "a" * 256}, "255 characters"),
    ("no containers", [], {"containerDefinitions": []}, "Container list cannot be empty."),
    ("eleven containers", [{}] * 11, {}, "Too many containers"),
    ("no name", [{"name": ""}], {}, "Container.name should not be null or empty."),
    ("a name with a dot", [{"name": "a.b"}], {}, "Invalid container name"),
    ("a name used twice", [{"name": "a"}, {"name": "a"}], {}, "must be unique"),
    ("nothing essential", [{"essential": False}], {}, "At least one container must be marked as essential."),
    ("no image", [{"image": ""}], {}, "Container.image should not be null or empty."),
    ("a long image", [{"image": "a" * 256}], {}, "255 characters"),
    ("an image with a blank", [{"image": "a b"}], {}, "Container.image contains invalid characters."),
    ("no memory", [{"memory": None}], {}, "At least one of 'memory' or 'memoryReservation' must be specified."),
    ("too little memory", [{"memory": 3}], {}, "at least 4 MiB"),
    ("reservation above memory", [{"memory": 64, "memoryReservation": 65}], {}, "must be greater than 'memoryReservation'"),
    ("container above task memory", [{"memory": 600}], {"memory": "512"}, "more than the task memory"),
    ("containers above task memory", [{"memory": 300}, {"memory": 300}], {"memory": "512"}, "sum of the container memory"),
    ("containers above task cpu", [{"cpu": 200}, {"cpu": 200}], {"cpu": "256", "memory": "512"}, "'cpu' settings"),
    ("negative cpu", [{"cpu": -1}], {}, "must not be negative"),
    ("task cpu in words", [{}], {"cpu": "lots"}, "Invalid 'cpu' setting for task."),
    ("too little task cpu", [{}], {"cpu": "64"}, "Invalid 'cpu' setting for task."),
    ("a link to itself", [{"links": ["c0"]}], {}, "cannot link to itself"),
    ("a link to nobody", [{"links": ["db:db"]}], {}, "not defined in the task"),
    ("links in host mode", [{"links": ["c1"]}, {}], {"networkMode": "host"}, "Links are not supported"),
    ("links in a circle", [{"links": ["c1"]}, {"links": ["c0"]}], {}, "in a circle"),
    ("an unknown volume", [{"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}], {}, "Unknown volume 'v'."),
    ("a volume named twice", [{}], {"volumes": [{"name": "v"}, {"name": "v"}]}, "Volume names must be unique"),
    ("volumes from nobody", [{"volumesFrom": [{"sourceContainer": "x"}]}], {}, "Unknown container 'x'"),
    ("a dependency on nobody", [{"dependsOn": [{"containerName": "x", "condition": "START"}]}], {}, "not defined in the task"),
    ("a dependency on itself", [{"dependsOn": [{"containerName": "c0", "condition": "START"}]}], {}, "cannot depend on itself"),
    (
        "COMPLETE of an essential container",
        [{"dependsOn": [{"containerName": "c1", "condition": "COMPLETE"}]}, {}],
        {},
        "cannot have the condition COMPLETE",
    ),
    (
        "HEALTHY without a health check",
        [{"dependsOn": [{"containerName": "c1", "condition": "HEALTHY"}]}, {}],
        {},
        "has no health check",
    ),
    ("host names with awsvpc", [{"hostname": "a"}], {"networkMode": "awsvpc"}, "hostname is not supported"),
    (
        "different ports in host mode",
        [{"portMappings": [{"containerPort": 80, "hostPort": 81}]}],
        {"networkMode": "host"},
        "must match",
    ),
    ("port 0", [{"portMappings": [{"containerPort": 0}]}], {}, "Invalid 'containerPort'"),
    ("a port beyond the last", [{"portMappings": [{"containerPort": 80, "hostPort": 70000}]}], {}, "Invalid 'hostPort'"),
    (
        "a host port used twice",
        [{"portMappings": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]}],
        {},
        "more than once",
    ),
    ("a range in other digits", [{"portMappings": [{"containerPortRange": "٨٠-٨١"}]}], {}, "containerPortRange"),
    ("a backward range", [{"portMappings": [{"containerPortRange": "90-80"}]}], {}, "containerPortRange"),
    ("a health check of another kind", [{"healthCheck": {"command": ["curl"]}}], {}, "must begin with CMD"),
    ("an impatient health check", [{"healthCheck": {"command": ["CMD", "true"], "interval": 1}}], {}, "between 5 and 300"),
    ("a hasty restart", [{"restartPolicy": {"enabled": True, "restartAttemptPeriod": 1}}], {}, "between 60 and 1800"),
    ("swappiness alone", [{"linuxParameters": {"swappiness": 5}}], {}, "requires 'maxSwap'"),
    (
        "a secret in the place of a variable",
        [{"environment": [{"name": "A", "value": "1"}], "secrets": [{"name": "A", "valueFrom": "x"}]}],
        {},
        "The secret name must be unique",
    ),
    ("a constraint of another kind", [{}], {"placementConstraints": [{"expression": "attribute:a exists"}]}, "must be memberOf"),
    (
        "a constraint that cannot be read",
        [{}],
        {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a =="}]},
        "Invalid expression: a value is missing at position 15",
    ),
    ("Fargate on a bridge", [{}], FARGATE | {"networkMode": "bridge"}, "Fargate only supports network mode"),
    ("Fargate without cpu", [{}], FARGATE | {"cpu": ""}, "Fargate requires that 'cpu' be defined"),
    ("Fargate of no size", [{}], FARGATE | {"memory": "4096"}, "No Fargate configuration exists for given values."),
    ("a privileged Fargate", [{"privileged": True}], FARGATE, "privileged"),
    ("a slow Fargate", [{"stopTimeout": 121}], FARGATE, "120 seconds"),
    ("an external awsvpc", [{}], {"networkMode": "awsvpc", "requiresCompatibilities": ["EXTERNAL"]}, "EXTERNAL"),
]


@pytest.mark.parametrize(("containers", "members", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_run_is_refused(containers: list[dict[str, Any]], members: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError) as caught:
        definition(*containers, **members)
    assert words in caught.value.message


SECRET = {"name": "S", "valueFrom": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-abcdef"}
EFS = {"fileSystemId": "fs-1", "authorizationConfig": {"accessPointId": "fsap-1"}}

FEATURES: list[tuple[str, list[dict[str, Any]], dict[str, Any], str]] = [
    (
        "secrets without an execution role",
        [{"secrets": [SECRET]}],
        {},
        "container secrets, you must also specify a value for 'executionRoleArn'",
    ),
    (
        "secret log options without an execution role",
        [{"logConfiguration": {"logDriver": "splunk", "secretOptions": [SECRET]}}],
        {},
        "secretOptions, you must also specify a value for 'executionRoleArn'",
    ),
    (
        "registry credentials without an execution role",
        [{"repositoryCredentials": {"credentialsParameter": "x"}}],
        {},
        "'executionRoleArn'",
    ),
    ("kernel parameters of the host", [{"systemControls": [{"namespace": "vm.swappiness", "value": "1"}]}], {}, "is not supported"),
    ("kernel parameters without a value", [{"systemControls": [{"namespace": "net.core.somaxconn"}]}], {}, "has no value"),
    (
        "network parameters in the host's network",
        [{"systemControls": [{"namespace": "net.core.somaxconn", "value": "1"}]}],
        {"networkMode": "host"},
        "not supported when networkMode=host",
    ),
    (
        "parameters of the host's inter-process communication",
        [{"systemControls": [{"namespace": "kernel.shmmax", "value": "1"}]}],
        {"ipcMode": "host"},
        "not supported when ipcMode=host",
    ),
    ("half a GPU", [{"resourceRequirements": [{"type": "GPU", "value": "0.5"}]}], {}, "GPU resource requirement"),
    ("a number of GPUs with more digits than any", [{"resourceRequirements": [{"type": "GPU", "value": "0001" + "0" * 5000}]}], {}, "GPU"),
    ("no GPU at all", [{"resourceRequirements": [{"type": "GPU", "value": "0"}]}], {}, "GPU resource requirement"),
    (
        "two routers of logs",
        [{"firelensConfiguration": {"type": "fluentbit"}}, {"firelensConfiguration": {"type": "fluentd"}}],
        {},
        "Only one container can be specified with a firelensConfiguration",
    ),
    (
        "logs that nobody routes",
        [{"logConfiguration": {"logDriver": "awsfirelens"}}],
        {},
        "a container with a firelensConfiguration",
    ),
    (
        "an access point in the clear",
        [{}],
        {"volumes": [{"name": "v", "efsVolumeConfiguration": EFS}]},
        "encryption must be enabled",
    ),
    (
        "an access point below another root",
        [{}],
        {"volumes": [{"name": "v", "efsVolumeConfiguration": {**EFS, "transitEncryption": "ENABLED", "rootDirectory": "/a"}}]},
        "must either be omitted or set to /",
    ),
    ("a proxy on a bridge", [{}], {"proxyConfiguration": {"containerName": "c0"}}, "only when networkMode=awsvpc"),
    ("a proxy that is not there", [{}], {"networkMode": "awsvpc", "proxyConfiguration": {"containerName": "x"}}, "not defined in the task"),
    ("storage of no size", [{}], {"ephemeralStorage": {"sizeInGiB": 20}}, "EphemeralStorage size should be between 21 and 200 GiB."),
    ("Fargate with the host's processes", [{}], {**FARGATE, "pidMode": "host"}, "do not support pidMode"),
    ("Fargate with a path of the host", [{}], {**FARGATE, "volumes": [{"name": "v", "host": {"sourcePath": "/x"}}]}, "sourcePath"),
    ("Fargate with a GPU", [{"resourceRequirements": [{"type": "GPU", "value": "1"}]}], FARGATE, "do not support GPU"),
    ("Fargate with a device", [{"linuxParameters": {"devices": [{"hostPath": "/dev/null"}]}}], FARGATE, "do not support devices"),
    ("Fargate with a capability", [{"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}], FARGATE, "SYS_PTRACE only"),
]


@pytest.mark.parametrize(("containers", "members", "words"), [case[1:] for case in FEATURES], ids=[case[0] for case in FEATURES])
def test_a_feature_needs_what_it_is_made_of(containers: list[dict[str, Any]], members: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError) as caught:
        definition(*containers, **members)
    assert caught.value.wire("json")[0] == "ClientException" and words in caught.value.message


@pytest.mark.parametrize(
    ("container", "members", "names"),
    [
        ({}, {"networkMode": "awsvpc"}, {"ecs.capability.task-eni"}),
        ({}, {"pidMode": "task"}, {"ecs.capability.pid-ipc-namespace-sharing"}),
        ({}, {"cpu": "10241", "memory": "64"}, {"ecs.capability.increased-task-cpu-limit"}),
        ({}, {"runtimePlatform": {"cpuArchitecture": "ARM64"}}, {"ecs.cpu-architecture=arm64"}),
        ({}, {"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}}, {"ecs.os-type=windows"}),
        ({}, {"volumes": [{"name": "v", "configuredAtLaunch": True}]}, {"ecs.capability.storage.ebs-task-volume-attach"}),
        (
            {},
            {"volumes": [{"name": "v", "dockerVolumeConfiguration": {}}]},
            {"ecs.capability.docker-plugin.local", "com.amazonaws.ecs.capability.docker-remote-api.1.21"},
        ),
        ({"environmentFiles": [{"value": "arn:aws:s3:::b/k", "type": "s3"}]}, {}, {"ecs.capability.env-files.s3"}),
        (
            {"repositoryCredentials": {"credentialsParameter": "x"}},
            {"executionRoleArn": "arn:aws:iam::000000000000:role/e"},
            {"ecs.capability.private-registry-authentication.secretsmanager"},
        ),
        ({"dockerSecurityOptions": ["apparmor:x"]}, {}, {"com.amazonaws.ecs.capability.apparmor"}),
        ({"dockerSecurityOptions": ["label:type:x"]}, {}, {"com.amazonaws.ecs.capability.selinux"}),
    ],
)
def test_what_a_machine_must_have_is_derived(container: dict[str, Any], members: dict[str, Any], names: set[str]) -> None:
    found = required_attributes(definition(container, **members))
    assert {f"{one.name}={one.value}" if one.value else one.name for one in found} == names


def test_a_definition_above_64_kib_is_refused() -> None:
    with pytest.raises(AwsError, match="Max allowed length is '65536' bytes"):
        definition({"environment": [{"name": "A", "value": "x" * 70_000}]})


def test_defaults_are_filled_in() -> None:
    made = definition({"portMappings": [{"containerPort": 80}], "healthCheck": {"command": ["CMD", "true"]}})
    assert msgspec.json.decode(msgspec.json.encode(made)) == {
        "family": "web",
        "volumes": [],
        "placementConstraints": [],
        "containerDefinitions": [
            {
                "name": "c0",
                "image": "busybox",
                "cpu": 0,
                "memory": 64,
                "essential": True,
                "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
                "environment": [],
                "mountPoints": [],
                "volumesFrom": [],
                "systemControls": [],
                "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
            }
        ],
    }


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [("256", "512", ("256", "512")), (".5 vCPU", "1GB", ("512", "1024")), ("1 vcpu", "0.5 GB", ("1024", "512"))],
)
def test_sizes_of_tasks_are_turned_into_units_and_mebibytes(cpu: str, memory: str, expected: tuple[str, str]) -> None:
    made = definition(cpu=cpu, memory=memory)
    assert (made.cpu, made.memory) == expected


def test_empty_strings_mean_nothing_was_set() -> None:
    made = definition({"hostname": ""}, taskRoleArn="", executionRoleArn="", cpu="", memory="")
    assert (made.task_role_arn, made.execution_role_arn, made.cpu, made.memory) == (None, None, None, None)


def test_ports_are_the_same_inside_and_outside_where_there_is_no_bridge() -> None:
    made = definition({"portMappings": [{"containerPort": 80}]}, networkMode="host")
    assert (made.container_definitions or ())[0].port_mappings == (shapes.PortMapping(container_port=80, host_port=80, protocol="tcp"),)


def test_compatibilities_follow_from_what_a_definition_is() -> None:
    assert compatibilities(definition()) == ("EXTERNAL", "EC2")
    assert compatibilities(definition(**FARGATE)) == ("EC2", "FARGATE")
    assert compatibilities(definition(networkMode="awsvpc")) == ("EC2",)


def test_each_feature_asks_for_its_attribute() -> None:
    made = definition(
        {
            "image": "000000000000.dkr.ecr.us-east-1.localhost:4566/web",
            "memory": 128,
            "memoryReservation": 64,
            "logConfiguration": {"logDriver": "awslogs"},
            "healthCheck": {"command": ["CMD", "true"], "startPeriod": 10},
            "privileged": True,
            "secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:us-east-1:000000000000:secret:a"}],
            "dependsOn": [{"containerName": "c1", "condition": "START"}],
        },
        {"linuxParameters": {"initProcessEnabled": True}},
        taskRoleArn="task",
        executionRoleArn="execution",
        networkMode="host",
    )
    assert [attribute.name for attribute in required_attributes(made)] == [
        "com.amazonaws.ecs.capability.docker-remote-api.1.19",
        "com.amazonaws.ecs.capability.docker-remote-api.1.21",
        "com.amazonaws.ecs.capability.docker-remote-api.1.25",
        "com.amazonaws.ecs.capability.docker-remote-api.1.29",
        "com.amazonaws.ecs.capability.ecr-auth",
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
        "com.amazonaws.ecs.capability.privileged-container",
        "com.amazonaws.ecs.capability.task-iam-role",
        "com.amazonaws.ecs.capability.task-iam-role-network-host",
        "ecs.capability.container-health-check",
        "ecs.capability.container-ordering",
        "ecs.capability.execution-role-awslogs",
        "ecs.capability.execution-role-ecr-pull",
        "ecs.capability.secrets.asm.environment-variables",
    ]


def test_a_plain_definition_asks_for_nothing() -> None:
    assert required_attributes(definition()) == ()
