"""The event logs that docs/scheduling.md shows are those that services really have."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.rollout import model as rollout
from tests.scenarios.stage import SERVICE, Stage, staged

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scheduling.md"
_BLOCK = re.compile(r"^```text\n# (?P<title>.*)\n(?P<lines>(?:.+\n)+)```$", re.MULTILINE)


def shown() -> dict[str, list[str]]:
    """Title -> the lines below it."""
    return {found["title"]: found["lines"].splitlines() for found in _BLOCK.finditer(PAGE.read_text())}


async def served(stage: Stage, desired: int, *, instances: str, balanced: bool = False, **spec: object) -> None:
    for number, zone in enumerate(instances, 1):
        await stage.instance(number, zone)
    await stage.service(await stage.definition(1), desired, balanced=balanced, **spec)
    await stage.settle()
    await stage.run_pending()
    if balanced:
        await stage.balance()
    await stage.step(60)


async def turn(stage: Stage) -> None:
    await stage.run_pending()
    await stage.step(41)
    await stage.stop_stopping()


async def a_drain_under_load(stage: Stage) -> list[str]:
    await served(stage, 2, instances="ab", balanced=True)
    await stage.instance(3, "a")
    said = len(stage.events())
    await stage.drain(1)
    await stage.run_pending()
    for _ in range(3):
        await stage.balance()
        await stage.stop_stopping()
    return stage.events()[said:]


async def a_deployment_that_fails_and_is_rolled_back(stage: Stage) -> list[str]:
    await served(stage, 2, instances="ab", circuit_breaker=shapes.DeploymentCircuitBreaker(enable=True, rollback=True))
    said = len(stage.events())
    await stage.deploy(await stage.definition(2), 2)
    await stage.settle()
    for _ in range(20):
        for task in stage.tasks("PENDING"):
            if task.spec.task_definition_arn.endswith(":2"):
                await stage.end(task)
        await stage.step(5)
    for _ in range(3):
        await turn(stage)
    (back,) = [one for one in stage.store.list(rollout.DEPLOYMENTS, "service", SERVICE) if one.status == "PRIMARY"]
    return [line.replace(f"d{int(back.id[8:])}", "d3") for line in stage.events()[said:]]


async def a_zone_that_is_lost_and_comes_back(stage: Stage) -> list[str]:
    await served(stage, 4, instances="abab", availability_zone_rebalancing="ENABLED")
    said = len(stage.events())
    for number in (1, 3):
        await stage.cut_off(number)
    await stage.step(601)
    await turn(stage)
    for number in (1, 3):
        await stage.come_back(number)
    await stage.stop_stopping()
    for _ in range(4):
        await turn(stage)
    return stage.events()[said:]


@pytest.mark.parametrize("story", [a_drain_under_load, a_deployment_that_fails_and_is_rolled_back, a_zone_that_is_lost_and_comes_back])
async def test_the_page_shows_what_is_said(story: Callable[[Stage], Awaitable[list[str]]]) -> None:
    async with staged() as stage:
        said = await story(stage)
    assert shown().get(story.__name__.replace("_", " ")) == said, "\n".join(said)
