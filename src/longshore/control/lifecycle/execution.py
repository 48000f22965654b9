"""A step of a policy inside its transaction: what is still as it was judged goes, what is not waits to be judged again.

Whether a rule acts on an image follows from the image itself (its tags, age and storage class, whether an index names it) and,
with a rule by count, from the newest images which the rule keeps. Both are looked at again here, so it does no harm that a
large repository changed since it was read: whatever was pushed meanwhile is newer than what goes. The images that a rule keeps may
be very many, and are looked at only where the repository's contents are not those they were seen in last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from longshore.control.lifecycle.plan import Act, Keeper, Step
from longshore.services.ecr.errors import ImageStorageClassUpdateNotSupportedException
from longshore.services.ecr.images import Unfound, delete_image, indexes_naming
from longshore.services.ecr.lifecycle.keeping import Contents, contents_of
from longshore.services.ecr.lifecycle.policy import Rule
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, Image, image_key
from longshore.services.ecr.storage_class import archive_image
from longshore.store.base import Reader, Tx

#: priority of a rule -> the contents in which its keepers were last seen to be as they were judged
Seen = Mapping[int, Contents]


class Done(msgspec.Struct, frozen=True):
    expired: int = 0
    archived: int = 0
    #: acts that were left out, because something is not as it was judged
    stale: int = 0

    def __add__(self, other: Done) -> Done:
        return Done(self.expired + other.expired, self.archived + other.archived, self.stale + other.stale)


def carry_out(tx: Tx, step: Step, now: float, seen: Seen | None = None) -> tuple[Done, Seen]:
    """What was done, and what is to be handed in with the next step. One event per image tells of it, naming the rule."""
    repository = step.acts[0].image.repository
    before = contents_of(tx, repository)
    kept = {priority for priority, contents in (seen or {}).items() if contents == before}
    kept |= {priority for priority in step.keepers.keys() - kept if all(_is_kept(tx, keeper) for keeper in step.keepers[priority])}
    done = Done()
    for act in step.acts:
        if (act.rule.priority in step.keepers and act.rule.priority not in kept) or not _is_as_judged(tx, act):
            done += Done(stale=1)
        elif act.rule.action == "EXPIRE":
            done += Done(expired=_expire(tx, act.image, now, _told(act.rule)))
        else:
            done += _archive(tx, act.image, now, _told(act.rule))
    # what has just gone was no keeper of a rule that has yet something to do
    return done, dict.fromkeys(kept, contents_of(tx, repository))


def _told(rule: Rule) -> dict[str, str | int]:
    """What the event says beside what happened: who did it."""
    return {"initiated-by": "lifecycle-policy", "lifecycle-rule-priority": rule.priority}


def _is_as_judged(reader: Reader, act: Act) -> bool:
    image = act.image
    held = _held(reader, image)
    if held is None or _tags(reader, image) != act.tags or _is_guarded(reader, image):
        return False
    if act.rule.count_type != "sinceImagePulled":
        held = replace(held, last_pulled_at=image.last_pulled_at)
    return held == image


def _is_kept(reader: Reader, keeper: Keeper) -> bool:
    """Whether the rule still selects it, and still counts it as just as new."""
    image = keeper.image
    held = _held(reader, image)
    if held is None or _is_guarded(reader, image) or (keeper.tags is not None and _tags(reader, image) != keeper.tags):
        return False
    return held is image or (held.archived, held.pushed_at, held.last_activated_at) == (
        image.archived,
        image.pushed_at,
        image.last_activated_at,
    )


def _held(reader: Reader, image: Image) -> Image | None:
    return reader.get(IMAGES, image_key(image.repository, image.digest))


def _tags(reader: Reader, image: Image) -> tuple[str, ...]:
    return tuple(tag.tag for tag in reader.list(IMAGE_TAGS, "image", image_key(image.repository, image.digest)))


def _is_guarded(reader: Reader, image: Image) -> bool:
    if image.subject and reader.get(IMAGES, image_key(image.repository, image.subject)) is not None:
        return True
    return bool(indexes_naming(reader, image.repository, image.digest))


def _expire(tx: Tx, first: Image, now: float, told: dict[str, str | int]) -> int:
    """The image and every artifact about it, however many steps away, but not what an index names. How many went."""
    gone = 0
    waiting = deque([first])
    while waiting:
        image = waiting.popleft()
        artifacts = tx.list(IMAGES, "subject", image_key(image.repository, image.digest))
        try:
            delete_image(tx, image, now, told)
        except Unfound:
            continue
        gone += 1
        waiting.extend(artifacts)
    return gone


def _archive(tx: Tx, image: Image, now: float, told: dict[str, str | int]) -> Done:
    try:
        return Done(archived=len(archive_image(tx, image, now, told)))
    except ImageStorageClassUpdateNotSupportedException:
        return Done(stale=1)
