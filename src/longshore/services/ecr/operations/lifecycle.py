"""Lifecycle policies and their previews, as AWS has them.

A preview is asked for here and made by the lifecycle controller; here is what there is to see of it meanwhile and afterwards.
"""

from __future__ import annotations

from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import (
    InvalidParameterException,
    LifecyclePolicyNotFoundException,
    LifecyclePolicyPreviewInProgressException,
    LifecyclePolicyPreviewNotFoundException,
)
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.lifecycle.keeping import checked_policy, put_policy
from longshore.services.ecr.lifecycle.model import (
    LIFECYCLE_POLICIES,
    LIFECYCLE_PREVIEWS,
    PREVIEW_PAGE,
    PREVIEW_PAGES,
    LifecyclePolicy,
    LifecyclePreview,
    PreviewedImage,
    preview_page_key,
)
from longshore.services.ecr.model import Repository
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.store.base import Reader, Tx

_PAGE = 100
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"


@api.operation("PutLifecyclePolicy", resource=repository_resource, conditions=tag_conditions)
async def put_lifecycle_policy(call: Call, request: shapes.PutLifecyclePolicyRequest) -> shapes.PutLifecyclePolicyResponse:
    """The controller applies it as soon as it sees it, and again and again from then on."""
    meant = repository_of(call, request)
    now = call.clock.now()
    await call.store.transact(lambda tx: put_policy(tx, find_repository(tx, meant), request.lifecycle_policy_text, now))
    return shapes.PutLifecyclePolicyResponse(
        registry_id=meant.account_id, repository_name=meant.name, lifecycle_policy_text=request.lifecycle_policy_text
    )


def _find_policy(reader: Reader, repository: Repository) -> LifecyclePolicy:
    held = reader.get(LIFECYCLE_POLICIES, repository.key)
    if held is None:
        raise LifecyclePolicyNotFoundException(repository.name, repository.account_id)
    return held


@api.operation("GetLifecyclePolicy", resource=repository_resource, conditions=tag_conditions)
async def get_lifecycle_policy(call: Call, request: shapes.GetLifecyclePolicyRequest) -> shapes.GetLifecyclePolicyResponse:
    repository = find_repository(call.store, repository_of(call, request))
    held = _find_policy(call.store, repository)
    return shapes.GetLifecyclePolicyResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        lifecycle_policy_text=held.text,
        last_evaluated_at=held.last_evaluated_at,
    )


@api.operation("DeleteLifecyclePolicy", resource=repository_resource, conditions=tag_conditions)
async def delete_lifecycle_policy(call: Call, request: shapes.DeleteLifecyclePolicyRequest) -> shapes.DeleteLifecyclePolicyResponse:
    meant = repository_of(call, request)

    def delete(tx: Tx) -> LifecyclePolicy:
        held = _find_policy(tx, find_repository(tx, meant))
        tx.delete(LIFECYCLE_POLICIES, held.repository)
        return held

    held = await call.store.transact(delete)
    return shapes.DeleteLifecyclePolicyResponse(
        registry_id=meant.account_id,
        repository_name=meant.name,
        lifecycle_policy_text=held.text,
        last_evaluated_at=held.last_evaluated_at,
    )


# ── previews ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("StartLifecyclePolicyPreview", resource=repository_resource, conditions=tag_conditions)
async def start_lifecycle_policy_preview(
    call: Call, request: shapes.StartLifecyclePolicyPreviewRequest
) -> shapes.StartLifecyclePolicyPreviewResponse:
    """In place of the preview before, unless that is still being made."""
    meant = repository_of(call, request)
    now, identifier = call.clock.now(), call.ids.uuid()

    def start(tx: Tx) -> LifecyclePreview:
        repository = find_repository(tx, meant)
        text = request.lifecycle_policy_text
        if text is None:
            text = _find_policy(tx, repository).text
        checked_policy(tx, repository.key, text)
        held = tx.get(LIFECYCLE_PREVIEWS, repository.key)
        if held is not None and held.status == "IN_PROGRESS":
            raise LifecyclePolicyPreviewInProgressException
        for each in tx.list(PREVIEW_PAGES, "repository", repository.key):
            tx.delete(PREVIEW_PAGES, PREVIEW_PAGES.key(each))
        return tx.put(LIFECYCLE_PREVIEWS, LifecyclePreview(repository.key, identifier, text, now))

    preview = await call.store.transact(start)
    return shapes.StartLifecyclePolicyPreviewResponse(
        registry_id=meant.account_id, repository_name=meant.name, lifecycle_policy_text=preview.text, status=preview.status
    )


@api.operation("GetLifecyclePolicyPreview", resource=repository_resource, conditions=tag_conditions)
async def get_lifecycle_policy_preview(
    call: Call, request: shapes.GetLifecyclePolicyPreviewRequest
) -> shapes.GetLifecyclePolicyPreviewResponse:
    """Images as they were when the preview was made, oldest first. The summary is over all of them, whatever is asked for."""
    if request.image_ids is not None and (request.next_token is not None or request.max_results is not None):
        raise InvalidParameterException("maxResults and nextToken cannot be specified together with imageIds")
    repository = find_repository(call.store, repository_of(call, request))
    preview = call.store.get(LIFECYCLE_PREVIEWS, repository.key)
    if preview is None:
        raise LifecyclePolicyPreviewNotFoundException(repository.name, repository.account_id)
    tag_status = request.filter.tag_status if request.filter else None
    token: str | None = None
    if request.image_ids is not None:
        found = [image for image in _named(call.store, preview, request.image_ids) if _passes(image, tag_status)]
    else:
        found, token = _paged(call, request, preview, tag_status)
    complete = preview.status == "COMPLETE"
    return shapes.GetLifecyclePolicyPreviewResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        lifecycle_policy_text=preview.text,
        status=preview.status,
        next_token=token,
        preview_results=tuple(map(_result, found)) if complete else None,
        summary=_summary(preview) if complete else None,
    )


def _paged(
    call: Call, request: shapes.GetLifecyclePolicyPreviewRequest, preview: LifecyclePreview, tag_status: str | None
) -> tuple[list[PreviewedImage], str | None]:
    question = ("GetLifecyclePolicyPreview", preview.repository, preview.id, tag_status)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN))
    found, after = page(
        lambda after, limit: _slice(call.store, preview, int(after) + 1 if after else 0, limit),
        lambda each: str(each[0]),
        after=after,
        limit=request.max_results or _PAGE,
        keep=lambda each: _passes(each[1], tag_status),
    )
    return [image for _, image in found], seal(call.secret_for_signing, question, after) if after else None


def _slice(reader: Reader, preview: LifecyclePreview, first: int, limit: int) -> list[tuple[int, PreviewedImage]]:
    """(place, image) of at most `limit` images from the place `first` on."""
    found: list[tuple[int, PreviewedImage]] = []
    while preview.status == "COMPLETE" and len(found) < limit:
        number, skipped = divmod(first + len(found), PREVIEW_PAGE)
        kept = reader.get(PREVIEW_PAGES, preview_page_key(preview.repository, preview.id, number))
        rest = kept.images[skipped : skipped + limit - len(found)] if kept is not None else ()
        if not rest:
            break
        found += enumerate(rest, first + len(found))
    return found


def _named(reader: Reader, preview: LifecyclePreview, identifiers: tuple[shapes.ImageIdentifier, ...]) -> list[PreviewedImage]:
    if any(not each.image_digest and not each.image_tag for each in identifiers):
        raise InvalidParameterException("Invalid request parameters: both tag and digest cannot be null")
    digests = {each.image_digest for each in identifiers if not each.image_tag}
    tags = {each.image_tag: each.image_digest for each in identifiers if each.image_tag}

    def is_meant(image: PreviewedImage) -> bool:
        return image.digest in digests or any(tag in tags and tags[tag] in (None, "", image.digest) for tag in image.tags)

    pages = reader.list(PREVIEW_PAGES, "preview", f"{preview.repository}:{preview.id}") if preview.status == "COMPLETE" else []
    return [image for kept in pages for image in kept.images if is_meant(image)]


def _passes(image: PreviewedImage, tag_status: str | None) -> bool:
    return tag_status in (None, "ANY") or bool(image.tags) is (tag_status == "TAGGED")


def _result(image: PreviewedImage) -> shapes.LifecyclePolicyPreviewResult:
    return shapes.LifecyclePolicyPreviewResult(
        image_tags=image.tags,
        image_digest=image.digest,
        image_pushed_at=image.pushed_at,
        action=shapes.LifecyclePolicyRuleAction(
            type=image.action, target_storage_class="ARCHIVE" if image.action == "TRANSITION" else None
        ),
        applied_rule_priority=image.rule_priority,
        storage_class="ARCHIVE" if image.archived else "STANDARD",
    )


def _summary(preview: LifecyclePreview) -> shapes.LifecyclePolicyPreviewSummary:
    moved = shapes.TransitioningImageTotalCount(target_storage_class="ARCHIVE", image_total_count=preview.transitioning)
    return shapes.LifecyclePolicyPreviewSummary(
        expiring_image_total_count=preview.expiring, transitioning_image_total_counts=(moved,) if preview.transitioning else None
    )
