"""Why an image goes or stays: a judgement told image by image."""

from __future__ import annotations

from typing import Literal

import msgspec

from longshore.services.ecr.lifecycle.evaluate import Judgement

Reason = Literal["RULE", "GOES_WITH", "KEPT_BY_RULE", "IN_USE", "PART_OF_INDEX", "ABOUT_IMAGE", "NO_RULE"]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    decision: Literal["EXPIRE", "TRANSITION", "KEEP"]
    reason: Reason
    #: the rule that acts on it, owns it, or would act on it were it not in use
    rule_priority: int | None = None
    #: the image it goes or stays with: its index, its subject
    held_by: str = ""


def explain(judgement: Judgement, digest: str) -> Verdict:
    acting = judgement.rule_for(digest)
    if acting is not None:
        first = judgement.follows.get(digest, "")
        return Verdict(acting.action, "GOES_WITH" if first else "RULE", acting.priority, first)
    spared = judgement.spared.get(digest)
    if spared is not None:
        return Verdict("KEEP", "IN_USE", spared.priority)
    if digest in judgement.part_of:
        return Verdict("KEEP", "PART_OF_INDEX", held_by=judgement.part_of[digest][0])
    if digest in judgement.about:
        return Verdict("KEEP", "ABOUT_IMAGE", held_by=judgement.about[digest])
    owner = judgement.owner_of(digest)
    return Verdict("KEEP", "KEPT_BY_RULE", owner.priority) if owner is not None else Verdict("KEEP", "NO_RULE")
