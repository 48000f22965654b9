"""What is kept of a repository creation template.

A template belongs to a registry and speaks for the repositories below its prefix. Prefixes are whole components: `prod` and
`prod/` are the same one and mean what begins with `prod/`, never `production`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from longshore.kit.resource import Kind
from longshore.services.ecr.model import Tag

#: what makes a repository come into being without CreateRepository
Occasion = Literal["REPLICATION", "PULL_THROUGH_CACHE", "CREATE_ON_PUSH"]
#: the prefix that speaks for whatever no other template does
ROOT = "ROOT"


def template_key(region: str, account_id: str, prefix: str) -> str:
    return f"{region}:{account_id}:{prefix.removesuffix('/')}"


class CreationTemplate(msgspec.Struct, frozen=True, gc=False):
    region: str
    account_id: str
    #: as it was asked for, perhaps with a `/` at its end
    prefix: str
    created_at: float
    updated_at: float
    applied_for: tuple[Occasion, ...]
    description: str | None = None
    image_tag_mutability: str = "MUTABLE"
    mutability_exclusions: tuple[str, ...] = ()
    encryption_type: Literal["AES256", "KMS", "KMS_DSSE"] = "AES256"
    kms_key: str = ""
    #: texts of policies, "" for none
    repository_policy: str = ""
    lifecycle_policy: str = ""
    resource_tags: tuple[Tag, ...] = ()
    custom_role_arn: str | None = None

    @property
    def key(self) -> str:
        return template_key(self.region, self.account_id, self.prefix)


CREATION_TEMPLATES: Kind[CreationTemplate] = Kind(
    name="ecr.creation_template",
    type=CreationTemplate,
    key=lambda template: template.key,
    indexes={"scope": lambda template: (f"{template.region}:{template.account_id}",)},
)
