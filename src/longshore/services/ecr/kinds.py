"""Every kind of resource that ECR keeps, and which of them go when a repository or an image goes.

What belongs to one repository has an index `repository` (the repository's key), what belongs to one image has an index
`image` (its `image_key`): whoever deletes the one deletes the others with it, without knowing what they are.
"""

from __future__ import annotations

from typing import Any

from longshore.kit.resource import Kind
from longshore.services.ecr.access.model import REGISTRY_POLICIES, REPOSITORY_POLICIES
from longshore.services.ecr.encryption.model import ENCRYPTION
from longshore.services.ecr.layers.model import LAYER_UPLOADS
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES, LIFECYCLE_PREVIEWS, LIFECYCLE_SETTINGS, PREVIEW_PAGES
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REGISTRY_EVENTS, REPOSITORIES, REPOSITORY_BLOBS
from longshore.services.ecr.pull_through.model import CACHED_TAGS, PULL_THROUGH_RULES
from longshore.services.ecr.replication.model import (
    BACKFILL_ITEMS,
    BACKFILLS,
    REMOTE_REGISTRIES,
    REPLICATION_SETTINGS,
    REPLICATIONS,
    WITHDRAWALS,
)
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, IMAGE_SCANS, REGISTRY_SCANNING
from longshore.services.ecr.settings.model import ACCOUNT_SETTINGS, PULL_TIME_EXCLUSIONS
from longshore.services.ecr.templates.model import CREATION_TEMPLATES

#: deleted with their image
OF_IMAGE: tuple[Kind[Any], ...] = (IMAGE_TAGS, CACHED_TAGS, REPLICATIONS, IMAGE_SCANS, IMAGE_SCAN_REPORTS)
#: deleted with their repository; images and what is of them first
OF_REPOSITORY: tuple[Kind[Any], ...] = (
    IMAGE_TAGS,
    CACHED_TAGS,
    REPLICATIONS,
    IMAGE_SCANS,
    IMAGE_SCAN_REPORTS,
    IMAGES,
    REPOSITORY_BLOBS,
    LAYER_UPLOADS,
    REPOSITORY_POLICIES,
    LIFECYCLE_POLICIES,
    LIFECYCLE_PREVIEWS,
    PREVIEW_PAGES,
    LIFECYCLE_SETTINGS,
)

KINDS: tuple[Kind[Any], ...] = (
    REPOSITORIES,
    IMAGES,
    IMAGE_TAGS,
    REPOSITORY_BLOBS,
    REGISTRY_EVENTS,
    ENCRYPTION,
    REPOSITORY_POLICIES,
    REGISTRY_POLICIES,
    CREATION_TEMPLATES,
    ACCOUNT_SETTINGS,
    PULL_TIME_EXCLUSIONS,
    LAYER_UPLOADS,
    PULL_THROUGH_RULES,
    CACHED_TAGS,
    REPLICATION_SETTINGS,
    REPLICATIONS,
    WITHDRAWALS,
    BACKFILLS,
    BACKFILL_ITEMS,
    REMOTE_REGISTRIES,
    LIFECYCLE_POLICIES,
    LIFECYCLE_PREVIEWS,
    PREVIEW_PAGES,
    LIFECYCLE_SETTINGS,
    IMAGE_SCANS,
    IMAGE_SCAN_REPORTS,
    REGISTRY_SCANNING,
)
