"""ListImageReferrers: signatures, SBOMs and whatever else was pushed about an image."""

from __future__ import annotations

from collections.abc import Callable

from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.manifests import MOST_ANNOTATIONS, size_of_annotations
from longshore.services.ecr.model import IMAGES, Image, image_key
from longshore.services.ecr.names import checked_digest
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.services.ecr.views import image_status

_PAGE = 50


# the permission that AWS documents for it
@api.operation("ListImageReferrers", action="ecr:BatchGetImage", resource=repository_resource, conditions=tag_conditions)
async def list_image_referrers(call: Call, request: shapes.ListImageReferrersRequest) -> shapes.ListImageReferrersResponse:
    """Of a subject that does not exist, or not yet, too: artifacts may be pushed first."""
    repository = find_repository(call.store, repository_of(call, request))
    subject = image_key(repository.key, checked_digest(request.subject_id.image_digest))
    wanted = request.filter or shapes.ListImageReferrersFilter()
    types = tuple(sorted(set(wanted.artifact_types or ())))
    status = wanted.artifact_status or "ACTIVE"
    question = ("ListImageReferrers", subject, types, status)
    invalid = InvalidParameterException("Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'")
    found, after = page(
        lambda after, limit: call.store.list(IMAGES, "subject", subject, after=after, limit=limit),
        lambda image: image_key(image.repository, image.digest),
        after=unseal(call.secret_for_signing, question, request.next_token, invalid),
        limit=request.max_results or _PAGE,
        keep=_matching(types, status),
        size=size_of_annotations,
        most_size=MOST_ANNOTATIONS,
    )
    return shapes.ListImageReferrersResponse(
        referrers=tuple(_referrer(image) for image in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


def _matching(types: tuple[str, ...], status: str) -> Callable[[Image], bool]:
    return lambda image: (not types or image.artifact_media_type in types) and status in ("ANY", image_status(image))


def _referrer(image: Image) -> shapes.ImageReferrer:
    return shapes.ImageReferrer(
        digest=image.digest,
        media_type=image.media_type,
        artifact_type=image.artifact_media_type or None,
        # that of its manifest, as the referrers of the distribution API have it
        size=image.manifest_size,
        annotations=image.annotations or None,
        artifact_status=image_status(image),
    )
