"""Repositories that come into being on the way: by a push, by replication, by the first pull through the cache.

The template with the longest prefix that is meant for the occasion says how such a repository looks. Replication and the cache
create one with default settings where no template speaks; a push to a repository that does not exist needs a template.
"""

from __future__ import annotations

from longshore.services.ecr.access.documents import repository_policy
from longshore.services.ecr.access.model import REPOSITORY_POLICIES
from longshore.services.ecr.encryption.keys import with_data_key
from longshore.services.ecr.errors import RepositoryNotFoundException
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES, LifecyclePolicy
from longshore.services.ecr.model import REPOSITORIES, Repository
from longshore.services.ecr.names import RepositoryId, names_a_registry
from longshore.services.ecr.templates.model import CREATION_TEMPLATES, ROOT, CreationTemplate, Occasion, template_key
from longshore.store.base import Reader, Tx


def template_for(reader: Reader, meant: RepositoryId, applied_for: Occasion) -> CreationTemplate | None:
    """The template that says how `meant` is to be created on this occasion."""
    components = meant.name.split("/")
    prefixes = ["/".join(components[:count]) for count in range(len(components) - 1, 0, -1)]
    for prefix in (*prefixes, ROOT):
        template = reader.get(CREATION_TEMPLATES, template_key(meant.region, meant.account_id, prefix))
        if template is not None and applied_for in template.applied_for:
            return template
    return None


def ensure_repository(tx: Tx, meant: RepositoryId, applied_for: Occasion, now: float) -> Repository:
    """The repository, created where there is none. Raises RepositoryNotFoundException for a push that no template speaks for."""
    held = tx.get(REPOSITORIES, meant.key)
    if held is not None:
        return held
    template = template_for(tx, meant, applied_for)
    if (template is None and applied_for == "CREATE_ON_PUSH") or (names_a_registry(meant.name) and applied_for != "REPLICATION"):
        raise RepositoryNotFoundException(meant.name, meant.account_id)
    repository = tx.create(REPOSITORIES, with_data_key(tx, _repository(meant, template, now)))
    if template is not None and template.repository_policy:
        tx.put(REPOSITORY_POLICIES, repository_policy(tx, repository, template.repository_policy))
    if template is not None and template.lifecycle_policy:
        tx.put(LIFECYCLE_POLICIES, LifecyclePolicy(repository=repository.key, text=template.lifecycle_policy, put_at=now))
    return repository


def _repository(meant: RepositoryId, template: CreationTemplate | None, now: float) -> Repository:
    if template is None:
        return Repository(arn=meant.arn, region=meant.region, account_id=meant.account_id, name=meant.name, created_at=now)
    return Repository(
        arn=meant.arn,
        region=meant.region,
        account_id=meant.account_id,
        name=meant.name,
        created_at=now,
        image_tag_mutability=template.image_tag_mutability,
        mutability_exclusions=template.mutability_exclusions,
        encryption_type=template.encryption_type,
        kms_key=template.kms_key,
        tags=template.resource_tags,
    )
