"""Who uses an image: what image names mean, and whose they are."""

from __future__ import annotations

from dataclasses import replace as replaced
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.shapes import ecs as ecs_shapes
from longshore.services.ecr.lifecycle.model import LIFECYCLE_SETTINGS, LifecycleSettings
from longshore.services.ecr.lifecycle.usage import User, resolve, users_of_images
from longshore.services.ecr.model import REPOSITORIES
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.store.base import Tx
from tests.services.ecr.conftest import SITE
from tests.services.ecr.lifecycle.policies import image
from tests.services.ecr.lifecycle.yard import WEB, Yard

HERE, DIGEST = "127.0.0.1:4566", "sha256:" + "a" * 64
ARN = "arn:aws:ecs:us-east-1:000000000000"
THEIRS = "arn:aws:ecs:us-east-1:111111111111"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"{HERE}/web:1", ("us-east-1", "000000000000", "web", "1", "")),
        (f"{HERE}/web", ("us-east-1", "000000000000", "web", "latest", "")),
        (f"{HERE}/team/web-app@{DIGEST}", ("us-east-1", "000000000000", "team/web-app", "latest", DIGEST)),
        (f"{HERE}/web:1@{DIGEST}", ("us-east-1", "000000000000", "web", "1", DIGEST)),
        ("localhost:4566/web:1", ("us-east-1", "000000000000", "web", "1", "")),
        ("127.0.1.7:4566/web:1", ("us-east-1", "000000000000", "web", "1", "")),
        ("[::1]:4566/web:1", ("us-east-1", "000000000000", "web", "1", "")),
        ("10.0.0.5:4566/web:1", ("us-east-1", "000000000000", "web", "1", "")),
        (f"{HERE}/111111111111.dkr.ecr.eu-west-1/web:1", ("eu-west-1", "111111111111", "web", "1", "")),
        ("111111111111.dkr.ecr.eu-west-1.localhost:4566/web:1", ("eu-west-1", "111111111111", "web", "1", "")),
        ("111111111111.dkr.ecr.eu-west-1.amazonaws.com/a/b:1", ("eu-west-1", "111111111111", "a/b", "1", "")),
        ("111111111111.dkr-ecr.eu-west-1.on.aws/web:1", ("eu-west-1", "111111111111", "web", "1", "")),
        ("busybox", None),
        ("library/busybox:1", None),
        ("docker.io/library/web:1", None),
        ("127.0.0.1:5000/web:1", None),
        ("localhost/web:1", None),
        (f"{HERE}/", None),
        (f"{HERE}/Web:1", None),
        (f"{HERE}/../web", None),
        ("", None),
    ],
)
def test_an_image_name_means_one_repository_or_none_of_ours(name: str, expected: tuple[str, ...] | None) -> None:
    found = resolve(name, SITE)
    assert (None if found is None else (*found.repository, found.tag, found.digest)) == expected


def test_port_80_need_not_be_written() -> None:
    site = replaced(SITE, endpoint="http://127.0.0.1", port=80)
    assert resolve("127.0.0.1/web:1", site) is not None
    assert resolve("localhost/web:1", site) is not None
    assert resolve("example.com/web:1", site) is None


# ── things that use images ──────────────────────────────────────────────────────────────────────────────────────────


def definition(revision: int, *images: str, status: str = "ACTIVE", arn: str = ARN) -> ecs.TaskDefinition:
    containers = tuple(ecs_shapes.ContainerDefinition(name=f"c{place}", image=each) for place, each in enumerate(images))
    return ecs.TaskDefinition(
        arn=f"{arn}:task-definition/app:{revision}",
        family="app",
        revision=revision,
        definition=ecs_shapes.TaskDefinition(container_definitions=containers),
        status=status,
    )


def task(revision: int = 1, *, arn: str = ARN, **status: Any) -> ecs.Task:
    spec = ecs.TaskSpec(f"{arn}:task-definition/app:{revision}", "family:app", 0.0)
    return ecs.Task(f"{arn}:task/main/t", f"{arn}:cluster/main", spec, status=ecs.TaskStatus(**status))


async def has(there: Yard, *rows: Any) -> None:
    kinds: dict[type, Any] = {ecs.Task: ecs.TASKS, ecs.TaskDefinition: ecs.TASK_DEFINITIONS, rollout.Service: rollout.SERVICES}
    kinds |= {rollout.Deployment: rollout.DEPLOYMENTS, LifecycleSettings: LIFECYCLE_SETTINGS}

    def put(tx: Tx) -> None:
        for arn, account in ((ARN, "000000000000"), (THEIRS, "111111111111")):
            tx.put(ecs.CLUSTERS, ecs.Cluster(f"{arn}:cluster/main", "main", 0.0))
            tx.put(ecs.FAMILIES, ecs.Family(f"us-east-1:{account}", "app", 9))
        for row in rows:
            tx.put(kinds[type(row)], row)

    await there.store.transact(put)


def users(there: Yard, repository: RepositoryId = WEB) -> dict[str, list[str]]:
    held = there.store.get(REPOSITORIES, repository.key)
    assert held is not None
    return {digest: [user.kind for user in found] for digest, found in users_of_images(there.store, held, SITE).items()}


async def test_an_active_revision_uses_what_its_tag_points_at(there: Yard) -> None:
    await there.aged(9, 8)
    await has(there, definition(1, f"{HERE}/web:t0", "busybox", f"{HERE}/other:t1"), definition(2, f"{HERE}/web:gone"))
    assert users(there) == {"d0": ["task-definition"]}
    await has(there, definition(1, f"{HERE}/web:t0", status="INACTIVE"))
    assert users(there) == {}


async def test_recent_revisions_use_their_images_as_the_settings_say(there: Yard) -> None:
    await there.aged(9, 8, 7)
    await has(there, *(definition(n + 1, f"{HERE}/web:t{n}", status="INACTIVE" if n == 1 else "ACTIVE") for n in range(3)))
    assert users(there).keys() == {"d0", "d2"}
    await has(there, LifecycleSettings(WEB.key, count_recent_revisions=2))
    assert users(there).keys() == {"d0", "d1", "d2"}
    await has(there, LifecycleSettings(WEB.key, count_active_revisions=False, count_recent_revisions=2))
    assert users(there).keys() == {"d1", "d2"}
    await has(there, LifecycleSettings(WEB.key, count_active_revisions=False))
    assert users(there) == {}


async def test_a_task_uses_the_digest_its_agent_reported_wherever_the_tag_went(there: Yard) -> None:
    await there.aged(9, 8)
    await has(there, definition(1, f"{HERE}/web:t1", status="INACTIVE"))
    await has(there, task(containers=(ecs.Container("c0", "arn", image=f"{HERE}/web:t1", image_digest="d0"),), last_status="RUNNING"))
    assert users(there) == {"d0": ["task"]}
    await has(there, task(containers=(ecs.Container("c0", "arn"),), last_status="PENDING"))
    assert users(there) == {"d1": ["task"]}, "before it is reported, what it is going to pull"
    await has(there, replace(task(last_status="RUNNING"), stop=ecs.Stop("enough", "UserInitiated", 0.0)))
    assert users(there) == {}, "a task that is to stop needs its image no more"


async def test_a_service_uses_what_all_its_deployments_run(there: Yard) -> None:
    await there.aged(9, 8)
    await has(there, *(definition(n + 1, f"{HERE}/web:t{n}", status="INACTIVE") for n in range(2)))
    service = rollout.Service(
        f"{ARN}:service/main/s", f"{ARN}:cluster/main", "s", 0.0, rollout.ServiceSpec(f"{ARN}:task-definition/app:2", 1)
    )
    old = rollout.Deployment("ecs-svc/1", service.arn, f"{ARN}:task-definition/app:1", created_at=0.0, updated_at=0.0, status="ACTIVE")
    await has(there, service, old)
    assert users(there) == {"d0": ["service"], "d1": ["service"]}
    await has(there, replace(old, status="INACTIVE"))
    assert users(there) == {"d1": ["service"]}
    await has(there, replace(service, status="INACTIVE"))
    assert users(there) == {}


async def test_an_image_named_by_digest_is_used_by_that(there: Yard) -> None:
    await there.put(image(DIGEST, 1, repository=WEB.key))
    await has(there, definition(1, f"{HERE}/web@{DIGEST}"))
    assert users(there) == {DIGEST: ["task-definition"]}


async def test_other_accounts_use_nothing_of_ours(there: Yard) -> None:
    await there.aged(9)
    await has(there, definition(1, f"{HERE}/web:t0", arn=THEIRS), task(arn=THEIRS, last_status="RUNNING"))
    assert users(there) == {}


async def test_users_are_told_apart_and_tasks_come_first(there: Yard) -> None:
    await there.aged(9)
    await has(there, definition(1, f"{HERE}/web:t0"), task(last_status="RUNNING"))
    held = there.store.get(REPOSITORIES, WEB.key)
    assert held is not None
    assert users_of_images(there.store, held, SITE) == {
        "d0": (User("task", f"{ARN}:task/main/t"), User("task-definition", f"{ARN}:task-definition/app:1"))
    }
