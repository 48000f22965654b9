"""What is kept of lifecycle policies: the policy of a repository, its last preview, and what of ours goes beyond AWS.

A repository has one policy and one preview at most. What a preview found is kept as it was found, in pages, so that it says
the same for as long as it is kept, whatever is pushed or deleted meanwhile.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from longshore.kit.resource import Kind


class LifecyclePolicy(msgspec.Struct, frozen=True, gc=False):
    repository: str  # key of the repository
    #: as it was put, byte for byte
    text: str
    put_at: float
    #: when its rules were last applied; None: not yet
    last_evaluated_at: float | None = None


LIFECYCLE_POLICIES: Kind[LifecyclePolicy] = Kind(
    name="ecr.lifecycle_policy",
    type=LifecyclePolicy,
    key=lambda policy: policy.repository,
    indexes={"repository": lambda policy: (policy.repository,)},
)


class LifecyclePreview(msgspec.Struct, frozen=True, gc=False):
    """The one preview of a repository. `id` tells it from those before it: their pages are none of its own."""

    repository: str
    id: str
    text: str
    started_at: float
    status: Literal["IN_PROGRESS", "COMPLETE", "EXPIRED", "FAILED"] = "IN_PROGRESS"
    ended_at: float | None = None
    #: over the whole result
    expiring: int = 0
    transitioning: int = 0


LIFECYCLE_PREVIEWS: Kind[LifecyclePreview] = Kind(
    name="ecr.lifecycle_preview",
    type=LifecyclePreview,
    key=lambda preview: preview.repository,
    indexes={
        "repository": lambda preview: (preview.repository,),
        # those the controller has yet something to do about
        "alive": lambda preview: ("alive",) if preview.status in ("IN_PROGRESS", "COMPLETE") else (),
    },
)


class PreviewedImage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An image that would go, as it was when the preview was made."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: float
    action: Literal["EXPIRE", "TRANSITION"]
    rule_priority: int
    archived: bool = False


class PreviewPage(msgspec.Struct, frozen=True, gc=False):
    repository: str
    preview_id: str
    #: 0 for the page with the oldest images
    number: int
    images: tuple[PreviewedImage, ...]


#: images in a page
PREVIEW_PAGE = 500


def preview_page_key(repository: str, preview_id: str, number: int) -> str:
    return f"{repository}:{preview_id}:{number:08d}"


PREVIEW_PAGES: Kind[PreviewPage] = Kind(
    name="ecr.lifecycle_preview_page",
    type=PreviewPage,
    key=lambda page: preview_page_key(page.repository, page.preview_id, page.number),
    indexes={
        "repository": lambda page: (page.repository,),
        "preview": lambda page: (f"{page.repository}:{page.preview_id}",),
    },
)


class LifecycleSettings(msgspec.Struct, frozen=True, gc=False):
    """How a repository's policy goes beyond AWS's. A repository without any behaves as at AWS."""

    repository: str
    #: images that are in use are kept, whatever a rule says
    keep_images_in_use: bool = False
    #: a rule may expire what was not pulled for a while, which AWS's rules can only archive
    allow_expire_since_pulled: bool = False
    #: whether every ACTIVE revision of a task definition uses its images, or only the recent ones do
    count_active_revisions: bool = True
    #: the newest revisions of each family that use their images whether they are ACTIVE or not
    count_recent_revisions: int = 0


LIFECYCLE_SETTINGS: Kind[LifecycleSettings] = Kind(
    name="ecr.lifecycle_settings",
    type=LifecycleSettings,
    key=lambda settings: settings.repository,
    indexes={"repository": lambda settings: (settings.repository,)},
)
