"""Actions that there are, told from those that are misspelt."""

from __future__ import annotations

import pytest

from longshore.gateway.asking import is_an_action
from longshore.gateway.catalogue import SERVED, served


@pytest.mark.parametrize("api", SERVED)
def test_every_operation_asks_for_an_action_that_there_is(api: str) -> None:
    actions = [operation.action for operation in served(api).operations.values() if operation.action]
    assert actions and all(is_an_action(action) and is_an_action(action.lower()) for action in actions)


@pytest.mark.parametrize("action", ["iam:PassRole", "ecs:Poll", "ecs:CreateExpressGatewayService", "s3:GetObject", "longshore:GetMetrics"])
def test_what_is_not_served_or_asked_beside_is_known_as_well(action: str) -> None:
    assert is_an_action(action)


@pytest.mark.parametrize("action", ["ecs:RunTasks", "ecr:Push", "elasticloadbalancing:RunTask", "iam:*x"])
def test_what_is_misspelt_is_none(action: str) -> None:
    assert not is_an_action(action)
