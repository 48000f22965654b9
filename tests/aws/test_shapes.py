"""What everybody relies on in the generated shapes."""

from __future__ import annotations

import importlib

import msgspec
import pytest

from longshore.aws.shapes import ecs, elbv2

APIS = ("ecs", "ecr", "elbv2", "ec2", "iam", "sts")


@pytest.mark.parametrize("api", APIS)
def test_shapes_are_frozen_and_name_their_wire_members(api: str) -> None:
    module = importlib.import_module(f"longshore.aws.shapes.{api}")
    for operation in module.OPERATIONS.values():
        assert operation.request.__struct_config__.frozen
        assert operation.name in module.KNOWN_OPERATIONS


def test_a_response_leaves_out_what_is_not_said() -> None:
    task = ecs.Task(task_arn="a", containers=(), last_status="RUNNING", created_at=1.5)
    assert msgspec.json.encode(task) == b'{"containers":[],"createdAt":1.5,"lastStatus":"RUNNING","taskArn":"a"}'


def test_shapes_can_be_kept_in_frozen_resources_and_read_back() -> None:
    definition = ecs.ContainerDefinition(name="web", port_mappings=(ecs.PortMapping(container_port=80, protocol="tcp"),))
    packed = msgspec.msgpack.encode(definition)
    assert msgspec.msgpack.decode(packed, type=ecs.ContainerDefinition) == definition
    assert isinstance(definition.port_mappings, tuple)


def test_required_members_stay_required_where_a_shape_goes_both_ways() -> None:
    with pytest.raises(TypeError, match="type"):
        elbv2.Action()  # type: ignore[call-arg]
