"""How far a rebalance is, and which move begins next: pure.

Moves begin in the order in which they were decided, so many at once as are allowed. One that cannot be made any more is skipped;
one for which its service has no room at the moment waits until it has, and holds up nobody else.
"""

from __future__ import annotations

from collections import Counter

import msgspec
from msgspec.structs import replace

from longshore.services.ecs.rebalance.model import Move


class Seen(msgspec.Struct, frozen=True):
    """What is known of one move's tasks."""

    #: why the old task cannot be moved (any more); "" where it can
    why_not: str = ""
    #: the old task has stopped
    old_gone: bool = False
    #: the new task has stopped, and why
    new_ended: str = ""
    #: how many tasks more its service may have now
    room: int = 1


class Step(msgspec.Struct, frozen=True):
    moves: tuple[Move, ...]
    #: places of moves to begin now
    begin: tuple[int, ...] = ()
    #: nothing is left to do
    over: bool = False


def step(moves: tuple[Move, ...], seen: tuple[Seen, ...], max_concurrent: int, *, stopping: bool) -> Step:
    """`seen` is in the order of `moves`."""
    after = [_settled(move, look, stopping=stopping) for move, look in zip(moves, seen, strict=True)]
    under_way = sum(1 for move in after if move.status == "MOVING")
    begin: list[int] = []
    begun: Counter[str] = Counter()
    for place, (move, look) in enumerate(zip(after, seen, strict=True)):
        if move.status != "PENDING":
            continue
        if under_way + len(begin) >= max_concurrent:
            break
        if look.room <= begun[move.service_arn]:
            continue
        begin.append(place)
        begun[move.service_arn] += 1
    over = not begin and all(move.status not in ("PENDING", "MOVING") for move in after)
    return Step(tuple(after), tuple(begin), over)


def _settled(move: Move, look: Seen, *, stopping: bool) -> Move:
    if move.status == "MOVING":
        if look.new_ended:
            return replace(move, status="FAILED", detail=look.new_ended)
        return replace(move, status="DONE") if look.old_gone else move
    if move.status == "PENDING" and (stopping or look.why_not):
        return replace(move, status="SKIPPED", detail=look.why_not or "the rebalance was stopped")
    return move
