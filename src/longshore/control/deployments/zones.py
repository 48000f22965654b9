"""Keeps the tasks of a service balanced over zones once it is steady: one more where the fewest are, then one less where most are.

A move is two tasks: the new one is started in the zone that has too few, in the place of one in the zone that has too many, and
the old one goes when the new one is healthy. What is on its way counts as if it had arrived, so nothing is moved twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from longshore.control.deployments.victims import victims
from longshore.control.deployments.vocabulary import Member, Phase, Saying, Snapshot, StartTasks
from longshore.services.ecs import event_words

#: the causes of what is said about it
CAUSE = "zones"
NO_PLACE = "zone placement"


def census(members: Iterable[Member], zones: Iterable[str], moves: Mapping[str, Member]) -> Counter[str]:
    """Tasks per zone once every move is done."""
    counts: Counter[str] = Counter(dict.fromkeys(zones, 0))
    counts.update(member.zone for member in members if member.arn not in moves)
    return counts


def moves_wanted(snapshot: Snapshot, settled: tuple[Member, ...], moves: Mapping[str, Member], room: int) -> list[StartTasks]:
    """`settled` are the tasks that serve; `moves` (old ARN -> new task) those on their way; `room`: how many more may be started."""
    primary = snapshot.primary
    if primary is None or len(snapshot.zones) < 2:
        return []
    counts = census(settled, snapshot.zones, moves)
    arrived = {one.arn for one in moves.values()}
    pool = [m for m in settled if m.phase is Phase.HEALTHY and m.arn not in moves and m.arn not in arrived]
    wanted: list[StartTasks] = []
    while len(wanted) < room:
        to = min(snapshot.zones, key=lambda zone: (counts[zone], zone))
        order = sorted((zone for zone in snapshot.zones if counts[zone] > counts[to] + 1), key=lambda zone: (-counts[zone], zone))
        found = next((v for zone in order for v in victims([m for m in pool if m.zone == zone], snapshot.strategy, 1)), None)
        if found is None:
            break
        counts[found.zone] -= 1
        counts[to] += 1
        pool.remove(found)
        wanted.append(StartTasks(primary.id, 1, f"{found.zone} has more tasks than {to}", zone=to, in_place_of=found.arn))
    return wanted


def said(snapshot: Snapshot, settled: tuple[Member, ...], begins: bool, under_way: bool) -> tuple[list[Saying], frozenset[str]]:
    """(what to say, causes that last): once when it begins, once when it is done."""
    said_before = any(one.cause == CAUSE for one in snapshot.told)
    if begins or under_way:
        if said_before or not begins:
            return [], frozenset({CAUSE, NO_PLACE})
        counts = census(settled, snapshot.zones, {})
        return [Saying(event_words.not_zone_balanced(snapshot.service_name, counts), CAUSE)], frozenset({NO_PLACE})
    if said_before:
        counts = census(settled, snapshot.zones, {})
        if max(counts.values(), default=0) - min(counts.values(), default=0) <= 1:
            return [Saying(event_words.zone_balanced(snapshot.service_name, counts))], frozenset()
    return [], frozenset()
