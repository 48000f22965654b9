"""Requests and answers of the operations about lifecycle policies and registry events that AWS does not have.

docs/extensions.md says what they mean. Times are seconds since the epoch, sizes bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape
from longshore.aws.shapes.ecr import LifecyclePolicyText, RegistryId, RepositoryName, TagStatus
from longshore.services.ecr.lifecycle.explain import Reason
from longshore.services.ecr.lifecycle.forecast import MOST_DAYS

Decision = Literal["EXPIRE", "TRANSITION", "KEEP"]
_PageSize = Annotated[int, Meta(ge=1, le=1000)]
_LargePageSize = Annotated[int, Meta(ge=1, le=10_000)]


# ── previews ────────────────────────────────────────────────────────────────────────────────────────────────────────


class PreviewFilter(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    tag_status: TagStatus | None = None
    #: ACT: what goes, to nowhere or to the archive
    decision: Literal["ACT", "KEEP"] | None = None


class PreviewLifecyclePolicyRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    registry_id: RegistryId | None = None
    repository_name: RepositoryName
    #: the repository's own unless given
    lifecycle_policy_text: LifecyclePolicyText | None = None
    #: as the repository's settings say unless given
    keep_images_in_use: bool | None = None
    #: asks for a forecast over so many days
    days: Annotated[int, Meta(ge=0, le=MOST_DAYS)] | None = None
    filter: PreviewFilter | None = None
    max_results: _LargePageSize | None = None
    next_token: str | None = None


class ImageUser(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    #: task, service or task-definition
    type: str
    arn: str


class Expected(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What the forecast expects to happen to an image first."""

    in_days: int
    at: float
    action: str
    rule_priority: int


class PreviewImage(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    image_digest: str
    image_tags: tuple[str, ...] = ()
    image_pushed_at: float
    image_size_in_bytes: int
    last_recorded_pull_time: float | None = None
    storage_class: str
    decision: Decision
    reason: Reason
    #: the rule that acts on it, keeps it, or would act on it were it not in use
    rule_priority: int | None = None
    #: digest of the image it goes or stays with
    held_by: str | None = None
    used_by: tuple[ImageUser, ...] = ()
    expected: Expected | None = None


class PreviewSummary(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Over the whole repository. Sizes are sums over images: a layer that several share counts for each."""

    expiring_image_count: int
    expiring_size_in_bytes: int
    transitioning_image_count: int
    transitioning_size_in_bytes: int
    kept_image_count: int
    kept_size_in_bytes: int
    #: layers, configs and manifests of what expires that nothing else in the repository has
    freed_size_in_bytes: int
    #: of those kept, the ones that a rule would act on were they not in use
    kept_in_use_image_count: int
    #: of those that go, the ones that somebody uses
    used_image_count: int


class PushRate(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Pushes that the same rules select."""

    image_tags: tuple[str, ...] = ()
    rule_priorities: tuple[int, ...] = ()
    pushes_per_day: float
    image_size_in_bytes: int


class ForecastDay(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    day: int
    at: float
    expiring: int
    #: images that are not there yet
    expiring_future: int
    transitioning: int
    transitioning_future: int
    #: of the expiring images that are there today
    size_in_bytes: int


class Forecast(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    days: int
    #: days that were taken together; 1 unless the repository is very large
    step_days: int
    push_rates: tuple[PushRate, ...]
    per_day: tuple[ForecastDay, ...]


class PreviewLifecyclePolicyResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    registry_id: str
    repository_name: str
    lifecycle_policy_text: str
    evaluated_at: float
    keep_images_in_use: bool
    images: tuple[PreviewImage, ...]
    summary: PreviewSummary
    forecast: Forecast | None = None
    next_token: str | None = None


PREVIEW = OperationShape("LongshorePreviewLifecyclePolicy", PreviewLifecyclePolicyRequest, PreviewLifecyclePolicyResponse)


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


class GetLifecycleSettingsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    registry_id: RegistryId | None = None
    repository_name: RepositoryName


class PutLifecycleSettingsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What is left out gets its default back."""

    registry_id: RegistryId | None = None
    repository_name: RepositoryName
    keep_images_in_use: bool = False
    allow_expire_since_pulled: bool = False
    count_active_revisions: bool = True
    count_recent_revisions: Annotated[int, Meta(ge=0, le=100)] = 0


class LifecycleSettingsResponse(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    registry_id: str
    repository_name: str
    keep_images_in_use: bool
    allow_expire_since_pulled: bool
    count_active_revisions: bool
    count_recent_revisions: int


GET_SETTINGS = OperationShape("LongshoreGetLifecycleSettings", GetLifecycleSettingsRequest, LifecycleSettingsResponse)
PUT_SETTINGS = OperationShape("LongshorePutLifecycleSettings", PutLifecycleSettingsRequest, LifecycleSettingsResponse)


# ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class ListRegistryEventsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    registry_id: RegistryId | None = None
    #: of this repository only
    repository_name: RepositoryName | None = None
    #: not before this moment
    start_time: float | None = None
    #: only the last so many
    newest: _PageSize | None = None
    max_results: _PageSize | None = None
    next_token: str | None = None


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """As Amazon EventBridge tells it, under the names of this API."""

    event_id: str
    time: float
    detail_type: str
    resources: tuple[str, ...]
    detail: dict[str, Any]


class ListRegistryEventsResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    #: oldest first
    events: tuple[Event, ...]
    next_token: str | None = None


LIST_EVENTS = OperationShape("LongshoreListRegistryEvents", ListRegistryEventsRequest, ListRegistryEventsResponse)
