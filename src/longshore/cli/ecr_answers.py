"""What ECR's operations beyond AWS's answer, as `longshore ecr` reads it and as `-o json` prints it again (docs/extensions.md)."""

from __future__ import annotations

from typing import Any

import msgspec


class User(msgspec.Struct, frozen=True):
    type: str
    arn: str


class Expected(msgspec.Struct, frozen=True, rename="camel"):
    in_days: int
    at: float
    action: str
    rule_priority: int


class Image(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    image_digest: str
    image_pushed_at: float
    image_size_in_bytes: int
    storage_class: str
    decision: str
    reason: str
    image_tags: tuple[str, ...] = ()
    last_recorded_pull_time: float | None = None
    rule_priority: int | None = None
    held_by: str = ""
    used_by: tuple[User, ...] = ()
    expected: Expected | None = None


class Summary(msgspec.Struct, frozen=True, rename="camel"):
    expiring_image_count: int
    expiring_size_in_bytes: int
    transitioning_image_count: int
    transitioning_size_in_bytes: int
    kept_image_count: int
    kept_size_in_bytes: int
    kept_in_use_image_count: int
    freed_size_in_bytes: int
    used_image_count: int


class PushRate(msgspec.Struct, frozen=True, rename="camel"):
    pushes_per_day: float
    image_size_in_bytes: int
    image_tags: tuple[str, ...] = ()
    rule_priorities: tuple[int, ...] = ()


class Day(msgspec.Struct, frozen=True, rename="camel"):
    day: int
    at: float
    expiring: int
    expiring_future: int
    transitioning: int
    transitioning_future: int
    size_in_bytes: int


class Forecast(msgspec.Struct, frozen=True, rename="camel"):
    days: int
    step_days: int
    push_rates: tuple[PushRate, ...]
    per_day: tuple[Day, ...]


class Preview(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `preview -o json` prints: LongshorePreviewLifecyclePolicy's answer, all pages of it in one."""

    registry_id: str
    repository_name: str
    lifecycle_policy_text: str
    evaluated_at: float
    keep_images_in_use: bool
    images: tuple[Image, ...]
    summary: Summary
    forecast: Forecast | None = None
    next_token: str | None = None


class Settings(msgspec.Struct, frozen=True, rename="camel"):
    """What `settings -o json` prints."""

    registry_id: str
    repository_name: str
    keep_images_in_use: bool
    allow_expire_since_pulled: bool
    count_active_revisions: bool
    count_recent_revisions: int


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """A line of `events -o json`."""

    event_id: str
    time: float
    detail_type: str
    resources: tuple[str, ...]
    detail: dict[str, Any]


class Events(msgspec.Struct, frozen=True, rename="camel"):
    events: tuple[Event, ...]
    next_token: str | None = None
