"""What others have published, as far as the agent: what its attributes let through is taken on, and what it cannot do asked for by name."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from longshore.agent.acceptance import parts, read_task
from longshore.agent.capabilities import MachineFacts, capabilities
from longshore.agent.container_spec import Place, create_body
from longshore.aws.errors import AwsError
from longshore.runtime.base import EngineFacts
from longshore.services.ecs.model import Attachment, TaskDefinition, TaskSpec
from longshore.services.ecs.new_task import new_task
from longshore.services.ecs.payload import task_payload
from longshore.services.ecs.required_attributes import required_attributes
from tests.services.ecs.conftest import SITE
from tests.services.ecs.test_published_task_definitions import _FILES, register

PLACE = Place(instance_id="i-1", container_instance_arn="arn:instance", address="127.0.1.7", region="us-east-1")
ENGINE = EngineFacts(
    api_minor=44,
    log_drivers=frozenset({"json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk"}),
    volume_drivers=frozenset({"local"}),
    security=frozenset({"apparmor", "selinux"}),
    limits_groups=True,
)
MACHINE = MachineFacts(has_journal=True, task_range="10.1.0.0/24", places=251)
HAS = frozenset(capabilities(ENGINE, MACHINE))
#: of a container instance by itself, or advertised by parts of the agent that this is not about
OTHERS = ("ecs.cpu-architecture", "ecs.os-type", "com.amazonaws.ecs.capability.task-iam-role")
TASK = f"arn:aws:ecs:us-east-1:000000000000:task/default/{'1' * 32}"
INTERFACE = Attachment(id="a", eni_id="eni-1", mac_address="0e:00:00:00:00:01", private_address="10.1.0.7", gateway="10.1.0.1/24")


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.name)
def test_a_definition_whose_attributes_are_here_is_taken_on(path: Path) -> None:
    try:
        definition = register(json.loads(path.read_bytes()))
    except AwsError:
        pytest.skip("no task definition")
    lacking = [one.name for one in required_attributes(definition) if one.name not in HAS and not one.name.startswith(OTHERS)]
    if lacking:
        assert all(name.startswith(("ecs.capability.", "com.amazonaws.ecs.capability.logging-driver.")) for name in lacking)
        return
    arn = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:3"
    kept = TaskDefinition(arn=arn, family=definition.family or "web", revision=3, definition=definition)
    spec = TaskSpec(task_definition_arn=arn, group="family:web", created_at=0.0)
    task = new_task(TASK, "arn:aws:ecs:us-east-1:000000000000:cluster/default", kept, spec, ["a"] * 10)
    if task.spec.reservation.enis:
        task = replace(task, status=replace(task.status, attachments=(INTERFACE,)))
    taken = read_task(msgspec.json.encode(task_payload(task, kept, SITE, "http://127.0.0.1:4566")))
    assert len(parts(taken)) == len(definition.container_definitions or ())
    for container in taken.containers:
        ranges = {mapping.container_port_range or "": 50_000 for mapping in container.port_mappings or ()}
        assert create_body(taken, container, PLACE, container.image, ranges)["Image"] == container.image
