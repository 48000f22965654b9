"""Pushing to a repository that does not exist: created on the way where a creation template says how."""

from __future__ import annotations

from longshore.registry.access import Access, Visit
from longshore.services.ecr.errors import RepositoryNotFoundException
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.templates.creation import ensure_repository, template_for
from longshore.store.base import Store


async def repository_for_push(store: Store, access: Access, visit: Visit, now: float) -> Repository:
    """The repository that `visit` pushes to. Who pushes needs ecr:CreateRepository for it where there is none yet.

    Raises RepositoryNotFoundException and Denied. Nothing is created for somebody who may not push: that has been asked before.
    """
    held = store.get(REPOSITORIES, visit.repository.key)
    if held is not None:
        return held
    if template_for(store, visit.repository, "CREATE_ON_PUSH") is None:
        raise RepositoryNotFoundException(visit.repository.name, visit.repository.account_id)
    access.require(visit, "CreateRepository")
    return await store.transact(lambda tx: ensure_repository(tx, visit.repository, "CREATE_ON_PUSH", now))
