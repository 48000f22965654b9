"""The account setting defaultLogDriverMode: how containers' logs are delivered where their definition does not say."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import TaskDefinition
from longshore.services.ecs.settings.rules import effective_value, root_arn
from longshore.store.base import Reader

#: drivers that deliver nothing by themselves
_NOT_DELIVERED = ("none", "awsfirelens")
_BUFFER = "max-buffer-size"


def log_mode_for(reader: Reader, arn: str) -> str:
    """Of the account and Region that `arn` is of."""
    _, _, _, region, account_id, _ = arn.split(":", 5)
    return effective_value(reader, region, account_id, root_arn(account_id), "defaultLogDriverMode")


def with_log_mode(definition: TaskDefinition, mode: str) -> TaskDefinition:
    """`definition` as its tasks are to run. Blocking is what Docker Engine does by itself."""
    containers = definition.definition.container_definitions or ()
    if mode == "blocking" or not any(_lacks(container) for container in containers):
        return definition
    changed = tuple(_with_mode(container, mode) if _lacks(container) else container for container in containers)
    return replace(definition, definition=replace(definition.definition, container_definitions=changed))


def _lacks(container: shapes.ContainerDefinition) -> bool:
    log = container.log_configuration
    return log is not None and log.log_driver not in _NOT_DELIVERED and "mode" not in (log.options or {})


def _with_mode(container: shapes.ContainerDefinition, mode: str) -> shapes.ContainerDefinition:
    """With ECS's buffer of 10 MiB, unless another is asked for."""
    assert container.log_configuration is not None
    options = {_BUFFER: "10m", **(container.log_configuration.options or {}), "mode": mode}
    return replace(container, log_configuration=replace(container.log_configuration, options=options))
