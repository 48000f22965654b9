"""Task definitions that others have published are taken, or refused for what is really wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longshore.aws.errors import AwsError
from longshore.aws.protocol import json as codec
from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.required_attributes import required_attributes
from longshore.services.ecs.task_definition_rules import checked

_FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "taskdefs"
_GUIDE = "awsdocs+amazon-ecs-developer-guide__doc_source_"
_SAMPLES = "aws-samples+"

#: what is not a whole task definition, or not a right one: file -> (code, words, why)
REFUSED = {
    "aws-observability+aws-otel-collector__examples_ecs_aws-prometheus_ecs-fargate-task-def.json": (
        "ClientException",
        "Container.image contains invalid characters.",
        "a template: its image is {{sampleAppImage}}",
    ),
    f"{_SAMPLES}amazon-ecs-firelens-examples__examples_fluent-bit_signalfx_task-definition.json": (
        "SerializationException",
        "Start of structure or map found where not expected",
        "secretOptions is an object instead of a list",
    ),
    f"{_SAMPLES}aws-containers-task-definitions__nginx_nginx_fargate.json": (
        "ClientException",
        "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
        "it relies on a role being filled in",
    ),
    f"{_GUIDE}ECS_AWSCLI_EC2.md.block9.json": (
        "InvalidParameterException",
        "Value null at 'containerDefinitions'",
        "the answer of DescribeTaskDefinition, not a definition",
    ),
    f"{_GUIDE}example_task_definitions.md.block7.json": (
        "ClientException",
        "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified.",
        "no memory anywhere, though it is not for Fargate",
    ),
    f"{_GUIDE}firelens-filtering-logs.md.block0.json": ("ClientException", "Container.name", "a fragment: logConfiguration only"),
    f"{_GUIDE}firelens-taskdef.md.block3.json": (
        "ClientException",
        "Invalid setting for container 'log_router'. At least one of 'memory' or 'memoryReservation' must be specified.",
        "a fragment without sizes",
    ),
    f"{_GUIDE}secrets-envvar-secrets-manager.md.block5.json": ("ClientException", "Container.name", "a fragment: secrets only"),
    f"{_GUIDE}secrets-envvar-secrets-manager.md.block7.json": ("ClientException", "Container.name", "a fragment: secrets only"),
    f"{_GUIDE}secrets-envvar-secrets-manager.md.block9.json": ("ClientException", "Container.name", "a fragment: secrets only"),
    f"{_GUIDE}secrets-envvar-ssm-paramstore.md.block2.json": ("ClientException", "Container.name", "a fragment: secrets only"),
    f"{_GUIDE}specifying-sensitive-data-parameters.md.block3.json": (
        "SerializationException",
        "Start of list found where not expected",
        "logConfiguration is a list instead of an object",
    ),
    f"{_GUIDE}wfsx-volumes.md.block0.json": (
        "ClientException",
        "Unknown volume 'fsx-windows-dir'.",
        "its volume is called fsx-windows-vol",
    ),
}

_FILES = sorted(_FOLDER.glob("*.json")) if _FOLDER.is_dir() else []


def register(document: dict[str, object]) -> shapes.TaskDefinition:
    document.setdefault("family", "unnamed")
    request = codec.parse(shapes.MODEL, shapes.OPERATIONS["RegisterTaskDefinition"], json.dumps(document).encode())
    assert isinstance(request, shapes.RegisterTaskDefinitionRequest)
    return checked(request)


@pytest.mark.skipif(not _FILES, reason="the published task definitions are not beside this checkout")
def test_the_table_of_refusals_names_files_that_are_there() -> None:
    assert not REFUSED.keys() - {path.name for path in _FILES}


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_a_published_definition_is_taken_or_refused_for_its_fault(path: Path) -> None:
    document = json.loads(path.read_bytes())
    if path.name not in REFUSED:
        definition = register(document)
        assert [one.name for one in definition.container_definitions or ()] == [one["name"] for one in document["containerDefinitions"]]
        required_attributes(definition)
        return
    code, words, _ = REFUSED[path.name]
    with pytest.raises(AwsError) as caught:
        register(document)
    assert caught.value.wire("json")[0] == code
    assert words in caught.value.message
