"""Who uses the images of a repository: tasks, services and task definitions of the repository's own account.

A running task uses the very digest its agent reported, whatever its tag points at by now. Services and task definitions use what
their image names point at now, since that is what their next task would pull. Tasks of other accounts do not count: nobody else
decides what a repository keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from longshore.aws.image_names import is_loopback, registry_host, registry_in_path, split_image
from longshore.services.call import Site
from longshore.services.ecr.lifecycle.model import LIFECYCLE_SETTINGS, LifecycleSettings
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, Repository, image_key, tag_key
from longshore.services.ecr.names import RepositoryId, is_repository_name
from longshore.services.ecs.model import CLUSTERS, FAMILIES, TASK_DEFINITIONS, TASKS, Task, TaskDefinition, revision_key
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICES
from longshore.store.base import Reader


class ImageName(msgspec.Struct, frozen=True, gc=False):
    """Which image of which repository a container definition means. With a digest, the tag says nothing."""

    repository: RepositoryId
    tag: str
    digest: str


class User(msgspec.Struct, frozen=True, gc=False):
    kind: Literal["task", "service", "task-definition"]
    arn: str


_RANK = {"task": 0, "service": 1, "task-definition": 2}


def resolve(image: str, site: Site) -> ImageName | None:
    """What an image name means here; None when it names no registry of this installation.

    Understood are the address of the gateway (any loopback name with its port, or any other host with it: machines elsewhere
    know it by another name), `ACCOUNT.dkr.ecr.REGION.ANYTHING`, and `ACCOUNT.dkr.ecr.REGION` as the first part of the path.
    """
    reference = split_image(image)
    if reference is None:
        return None
    account_id, region, name = site.account_id, site.region, reference.path
    named = registry_host(reference.host)
    if named is not None:
        account_id, region = named.account_id, named.region
    elif reference.host.lower() != site.registry_address.lower() and not _is_gateway(reference.host, site.port):
        return None
    prefixed = registry_in_path(name)
    if prefixed is not None:
        account_id, region, name = prefixed
    if not is_repository_name(name):
        return None
    return ImageName(RepositoryId(region, account_id, name), reference.tag or "latest", reference.digest)


def _is_gateway(host: str, port: int) -> bool:
    name, colon, given = host.rpartition(":")
    if not colon:
        return port == 80 and is_loopback(host)
    return given == str(port) and bool(name)


def settings_of(reader: Reader, repository: str) -> LifecycleSettings:
    return reader.get(LIFECYCLE_SETTINGS, repository) or LifecycleSettings(repository)


def users_of_images(reader: Reader, repository: Repository, site: Site) -> dict[str, tuple[User, ...]]:
    """digest -> who uses it, for the images of the repository that are in use; tasks first."""
    settings = settings_of(reader, repository.key)
    found: dict[str, set[User]] = {}
    names: dict[str, ImageName | None] = {}
    for user, image, reported in _uses(reader, repository.account_id, settings):
        if image not in names:
            names[image] = _named(image, repository, site)
        name = names[image]
        if name is not None:
            digest = _digest(reader, repository, name, reported)
            if digest:
                found.setdefault(digest, set()).add(user)
    return {digest: tuple(sorted(users, key=lambda user: (_RANK[user.kind], user.arn))) for digest, users in found.items()}


def _named(image: str, repository: Repository, site: Site) -> ImageName | None:
    """None when it is no image of this repository."""
    name = resolve(image, site) if repository.name in image else None
    return name if name is not None and name.repository.key == repository.key else None


def _digest(reader: Reader, repository: Repository, name: ImageName, reported: str) -> str:
    """Of the image that is meant, "" when there is none: what was reported, else what is written, else what the tag points at."""
    for digest in (reported, name.digest):
        if digest and reader.get(IMAGES, image_key(repository.key, digest)) is not None:
            return digest
    tag = reader.get(IMAGE_TAGS, tag_key(repository.key, name.tag)) if not name.digest and not reported else None
    return tag.digest if tag is not None else ""


def _uses(reader: Reader, account_id: str, settings: LifecycleSettings) -> Iterator[tuple[User, str, str]]:
    """(who, image name, digest as an agent reported it) for everything in the account."""
    for cluster in reader.list(CLUSTERS):
        if _account(cluster.arn) == account_id:
            for task in reader.list(TASKS, "cluster", f"{cluster.arn}|RUNNING"):
                yield from _of_task(reader, task)
    for service in reader.list(SERVICES):
        if _account(service.arn) == account_id and service.status != "INACTIVE":
            deployed = {deployment.task_definition_arn for deployment in reader.list(DEPLOYMENTS, "service", service.arn)}
            for arn in sorted({service.spec.task_definition_arn, *deployed}):
                user = User("service", service.arn)
                yield from ((user, image, "") for image in _images(_definition(reader, arn)))
    for definition in _definitions(reader, account_id, settings):
        user = User("task-definition", definition.arn)
        yield from ((user, image, "") for image in _images(definition))


def _of_task(reader: Reader, task: Task) -> Iterator[tuple[User, str, str]]:
    user = User("task", task.arn)
    reported = {container.name: container for container in task.status.containers}
    definition = _definition(reader, task.spec.task_definition_arn)
    for container in reported.values():
        if container.image:
            yield user, container.image, container.image_digest
    for written in (definition.definition.container_definitions if definition else None) or ():
        container_seen = reported.get(written.name or "")
        if written.image and (container_seen is None or not container_seen.image):
            yield user, written.image, container_seen.image_digest if container_seen else ""


def _definitions(reader: Reader, account_id: str, settings: LifecycleSettings) -> Iterator[TaskDefinition]:
    for family in reader.list(FAMILIES):
        if family.scope.rpartition(":")[2] != account_id:
            continue
        revisions = reader.list(TASK_DEFINITIONS, "family", f"{family.scope}:{family.name}")
        recent = revisions[-settings.count_recent_revisions :] if settings.count_recent_revisions else []
        active = [each for each in revisions if each.status == "ACTIVE"] if settings.count_active_revisions else []
        yield from {each.arn: each for each in (*active, *recent)}.values()


def _definition(reader: Reader, arn: str) -> TaskDefinition | None:
    family, _, revision = arn.rpartition("/")[2].rpartition(":")
    return reader.get(TASK_DEFINITIONS, revision_key(arn, family, int(revision))) if revision.isdecimal() else None


def _images(definition: TaskDefinition | None) -> Iterable[str]:
    return [each.image for each in (definition.definition.container_definitions if definition else None) or () if each.image]


def _account(arn: str) -> str:
    return arn.split(":", 5)[4]
