"""Beyond AWS: previews that tell of every image why it goes or stays, who uses it, and what the coming days will bring.

A preview of this kind is made on the spot and kept nowhere. Its pages all speak of the moment of the first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from functools import partial

from longshore.aws.pagination import seal, unseal
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import InvalidParameterException, LifecyclePolicyNotFoundException
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.lifecycle import shapes
from longshore.services.ecr.lifecycle.explain import Verdict, explain
from longshore.services.ecr.lifecycle.forecast import Forecast, forecast, rates_of
from longshore.services.ecr.lifecycle.keeping import Judged, Turns, beside, checked_policy, judge, pushes_lately
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES, LIFECYCLE_SETTINGS, LifecycleSettings
from longshore.services.ecr.lifecycle.policy import DAY_S, Policy
from longshore.services.ecr.lifecycle.usage import settings_of
from longshore.services.ecr.model import Repository
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.store.base import Tx

_PAGE = 100
#: of each caller's previews
_turns = Turns()
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"


@api.operation("LongshorePreviewLifecyclePolicy", resource=repository_resource, conditions=tag_conditions, shape=shapes.PREVIEW)
async def preview_lifecycle_policy(call: Call, request: shapes.PreviewLifecyclePolicyRequest) -> shapes.PreviewLifecyclePolicyResponse:
    """Images that go first, oldest first, then those that stay."""
    repository = find_repository(call.store, repository_of(call, request))
    text = _text(call, repository, request.lifecycle_policy_text)
    policy = checked_policy(call.store, repository.key, text)
    keep = request.keep_images_in_use
    if keep is None:
        keep = settings_of(call.store, repository.key).keep_images_in_use
    chosen = request.filter or shapes.PreviewFilter()
    question = ("LongshorePreviewLifecyclePolicy", repository.key, text, keep, request.days, chosen.tag_status, chosen.decision)
    token = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN))
    moment, _, after = (token or "").partition(" ")
    now = float(moment) if moment else call.clock.now()
    async with _turns.of(call.principal.arn):
        judged = await judge(call.store, repository, policy, now, call.site, keep_in_use=keep)
        expected = await _forecast(call, repository, policy, now, request.days, judged, keep_in_use=keep)
        page = await beside(len(judged.stock.images), partial(_page, judged, chosen, after, request.max_results or _PAGE))
    sees_users = call.account_id == repository.account_id
    return shapes.PreviewLifecyclePolicyResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        lifecycle_policy_text=text,
        evaluated_at=now,
        keep_images_in_use=keep,
        images=tuple(_image(judged, digest, verdict, now, expected, sees_users=sees_users) for digest, verdict in page.found),
        summary=page.summary,
        forecast=_told(expected, now) if expected is not None else None,
        next_token=seal(call.secret_for_signing, question, f"{now!r} {page.after}") if page.after else None,
    )


def _text(call: Call, repository: Repository, given: str | None) -> str:
    held = call.store.get(LIFECYCLE_POLICIES, repository.key) if given is None else None
    if given is None and held is None:
        raise LifecyclePolicyNotFoundException(repository.name, repository.account_id)
    return given if given is not None else held.text if held is not None else ""


async def _forecast(
    call: Call, repository: Repository, policy: Policy, now: float, days: int | None, judged: Judged, *, keep_in_use: bool
) -> Forecast | None:
    if days is None:
        return None
    pushes, observed_days = pushes_lately(call.store, repository, judged, now)
    in_use = frozenset(judged.users) if keep_in_use else frozenset[str]()
    rates = rates_of(pushes, policy, observed_days)
    images = len(judged.stock.images) + int(days * sum(rate.per_day for rate in rates))
    return await beside(images * (days + 1), partial(forecast, judged.stock, policy, now, days, rates, in_use))


class _Page:
    def __init__(self, found: list[tuple[str, Verdict]], after: str, summary: shapes.PreviewSummary) -> None:
        self.found = found
        #: digest to go on after; "" at the end
        self.after = after
        self.summary = summary


def _page(judged: Judged, chosen: shapes.PreviewFilter, after: str, limit: int) -> _Page:
    images, going = judged.stock.images, judged.judgement.acts.keys() | judged.judgement.follows.keys()

    def is_chosen(digest: str) -> bool:
        tagged = bool(judged.stock.tags_of(digest))
        return (chosen.tag_status in (None, "ANY") or tagged is (chosen.tag_status == "TAGGED")) and (
            chosen.decision is None or (digest in going) is (chosen.decision == "ACT")
        )

    def place(digest: str) -> tuple[bool, float, str]:
        return (digest not in going, images[digest].pushed_at, digest)

    order = sorted(filter(is_chosen, images), key=place)
    first = bisect_right(order, place(after), key=place) if after in images else 0
    shown = order[first : first + limit]
    more = first + limit < len(order)
    found = [(digest, explain(judged.judgement, digest)) for digest in shown]
    return _Page(found, shown[-1] if more else "", _summary(judged, going))


def _summary(judged: Judged, going: Collection[str]) -> shapes.PreviewSummary:
    images = judged.stock.images
    moved = {digest for digest in going if (rule := judged.judgement.rule_for(digest)) is not None and rule.action == "TRANSITION"}
    sizes = {"going": sum(images[digest].size for digest in going), "moved": sum(images[digest].size for digest in moved)}
    return shapes.PreviewSummary(
        expiring_image_count=len(going) - len(moved),
        expiring_size_in_bytes=sizes["going"] - sizes["moved"],
        transitioning_image_count=len(moved),
        transitioning_size_in_bytes=sizes["moved"],
        kept_image_count=len(images) - len(going),
        kept_size_in_bytes=sum(image.size for image in images.values()) - sizes["going"],
        freed_size_in_bytes=_freed(judged, {digest for digest in going if digest not in moved}),
        kept_in_use_image_count=len(judged.judgement.spared),
        used_image_count=sum(1 for digest in judged.users if digest in going),
    )


def _freed(judged: Judged, expiring: Collection[str]) -> int:
    freed: dict[str, int] = {}
    for digest in expiring:
        image = judged.stock.images[digest]
        freed[digest] = image.manifest_size
        freed.update((each.digest, each.size) for each in image.references if not each.is_manifest and not each.foreign)
    if freed:
        for digest, image in judged.stock.images.items():
            if digest not in expiring:
                for reference in image.references:
                    freed.pop(reference.digest, None)
    return sum(freed.values())


def _image(
    judged: Judged, digest: str, verdict: Verdict, now: float, expected: Forecast | None, *, sees_users: bool
) -> shapes.PreviewImage:
    image = judged.stock.images[digest]
    going = expected.going.get(digest) if expected is not None else None
    users = judged.users_of(digest) if sees_users else ()
    return shapes.PreviewImage(
        image_digest=digest,
        image_tags=judged.stock.tags_of(digest),
        image_pushed_at=image.pushed_at,
        image_size_in_bytes=image.size,
        last_recorded_pull_time=image.last_pulled_at,
        storage_class="ARCHIVE" if image.archived else "STANDARD",
        decision=verdict.decision,
        reason=verdict.reason,
        rule_priority=verdict.rule_priority,
        held_by=verdict.held_by or None,
        used_by=tuple(shapes.ImageUser(type=user.kind, arn=user.arn) for user in users),
        expected=shapes.Expected(in_days=going.day, at=now + going.day * DAY_S, action=going.action, rule_priority=going.rule_priority)
        if going is not None
        else None,
    )


def _told(found: Forecast, now: float) -> shapes.Forecast:
    return shapes.Forecast(
        days=found.until,
        step_days=found.step,
        push_rates=tuple(
            shapes.PushRate(
                image_tags=rate.tags, rule_priorities=rate.rules, pushes_per_day=round(rate.per_day, 4), image_size_in_bytes=rate.size
            )
            for rate in found.rates
        ),
        per_day=tuple(
            shapes.ForecastDay(
                day=day.day,
                at=now + day.day * DAY_S,
                expiring=day.expiring,
                expiring_future=day.expiring_future,
                transitioning=day.transitioning,
                transitioning_future=day.transitioning_future,
                size_in_bytes=day.size,
            )
            for day in found.days
        ),
    )


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("LongshoreGetLifecycleSettings", resource=repository_resource, conditions=tag_conditions, shape=shapes.GET_SETTINGS)
async def get_lifecycle_settings(call: Call, request: shapes.GetLifecycleSettingsRequest) -> shapes.LifecycleSettingsResponse:
    repository = find_repository(call.store, repository_of(call, request))
    return _settings(repository, settings_of(call.store, repository.key))


@api.operation("LongshorePutLifecycleSettings", resource=repository_resource, conditions=tag_conditions, shape=shapes.PUT_SETTINGS)
async def put_lifecycle_settings(call: Call, request: shapes.PutLifecycleSettingsRequest) -> shapes.LifecycleSettingsResponse:
    """Refused where the policy that is there would not be allowed any more."""
    meant = repository_of(call, request)
    settings = LifecycleSettings(
        repository=meant.key,
        keep_images_in_use=request.keep_images_in_use,
        allow_expire_since_pulled=request.allow_expire_since_pulled,
        count_active_revisions=request.count_active_revisions,
        count_recent_revisions=request.count_recent_revisions,
    )

    def put(tx: Tx) -> Repository:
        repository = find_repository(tx, meant)
        tx.put(LIFECYCLE_SETTINGS, settings)
        held = tx.get(LIFECYCLE_POLICIES, repository.key)
        if held is not None:
            checked_policy(tx, repository.key, held.text)
        return repository

    return _settings(await call.store.transact(put), settings)


def _settings(repository: Repository, settings: LifecycleSettings) -> shapes.LifecycleSettingsResponse:
    return shapes.LifecycleSettingsResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        keep_images_in_use=settings.keep_images_in_use,
        allow_expire_since_pulled=settings.allow_expire_since_pulled,
        count_active_revisions=settings.count_active_revisions,
        count_recent_revisions=settings.count_recent_revisions,
    )
