"""What ECR answers with: resources as the wire shows them."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Site
from longshore.services.ecr.images import tags_of
from longshore.services.ecr.model import Image, Repository, Tag
from longshore.services.ecr.scanning import views as scanning
from longshore.services.ecr.templates.model import CreationTemplate
from longshore.store.base import Reader


def repository(held: Repository, site: Site) -> shapes.Repository:
    return shapes.Repository(
        repository_arn=held.arn,
        registry_id=held.account_id,
        repository_name=held.name,
        repository_uri=f"{site.registry_host(held.account_id, held.region)}/{held.name}",
        created_at=held.created_at,
        image_tag_mutability=held.image_tag_mutability,
        image_tag_mutability_exclusion_filters=exclusion_filters(held),
        image_scanning_configuration=shapes.ImageScanningConfiguration(scan_on_push=held.scan_on_push),
        encryption_configuration=shapes.EncryptionConfiguration(
            encryption_type=held.encryption_type,
            kms_key=held.kms_key or None,
        ),
    )


def exclusion_filters(held: Repository | CreationTemplate) -> tuple[shapes.ImageTagMutabilityExclusionFilter, ...] | None:
    filters = tuple(shapes.ImageTagMutabilityExclusionFilter(filter_type="WILDCARD", filter=each) for each in held.mutability_exclusions)
    return filters or None


def image_status(image: Image) -> str:
    return "ARCHIVED" if image.archived else "ACTIVE"


def image_detail(reader: Reader, image: Image, held: Repository) -> shapes.ImageDetail:
    scan_status, scan_summary = scanning.of_image(reader, image, held)
    return shapes.ImageDetail(
        registry_id=held.account_id,
        repository_name=held.name,
        image_digest=image.digest,
        image_tags=tuple(tags_of(reader, image)) or None,
        image_size_in_bytes=image.size,
        image_pushed_at=image.pushed_at,
        image_manifest_media_type=image.media_type,
        artifact_media_type=image.artifact_media_type or None,
        last_recorded_pull_time=image.last_pulled_at,
        subject_manifest_digest=image.subject or None,
        image_status=image_status(image),
        last_archived_at=image.last_archived_at,
        last_activated_at=image.last_activated_at,
        image_scan_status=scan_status,
        image_scan_findings_summary=scan_summary,
    )


def image(found: Image, held: Repository, manifest: str, tag: str | None) -> shapes.Image:
    return shapes.Image(
        registry_id=held.account_id,
        repository_name=held.name,
        image_id=shapes.ImageIdentifier(image_digest=found.digest, image_tag=tag),
        image_manifest=manifest,
        image_manifest_media_type=found.media_type,
    )


def tags(held: Iterable[Tag]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in held)


def creation_template(held: CreationTemplate) -> shapes.RepositoryCreationTemplate:
    return shapes.RepositoryCreationTemplate(
        prefix=held.prefix,
        description=held.description,
        encryption_configuration=shapes.EncryptionConfigurationForRepositoryCreationTemplate(
            encryption_type=held.encryption_type, kms_key=held.kms_key or None
        ),
        resource_tags=tags(held.resource_tags) or None,
        image_tag_mutability=held.image_tag_mutability,
        image_tag_mutability_exclusion_filters=exclusion_filters(held),
        repository_policy=held.repository_policy or None,
        lifecycle_policy=held.lifecycle_policy or None,
        applied_for=held.applied_for,
        custom_role_arn=held.custom_role_arn,
        created_at=held.created_at,
        updated_at=held.updated_at,
    )
