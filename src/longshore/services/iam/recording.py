"""Recording mode: every decision about some principals is kept for a while, as the calls that there were and how often.

The recorder is told of decisions where they are made, whether they were worked out or remembered, of operations, of the registry and of
agents. While nothing is recorded it costs one look at a flag. What it has seen is in the store within half a second, and at once where
somebody asks for it; a recording goes on after a restart.

It is bounded. A call is one row however often it comes. Of tasks, revisions and whatever else gets a new identifier each time, the first
hundred are kept by their names and the rest as the pattern they have in common; what there is no room for is counted and named.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Hashable, Sequence

from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.kit.clock import Clock
from longshore.services.iam.deciding import Context, Made
from longshore.services.iam.dry_run import verdict
from longshore.services.iam.dry_run_changes import Standing, changed, standing_of
from longshore.services.iam.minimal_patterns import generalised
from longshore.services.iam.recording_model import (
    RECORDED_CALLS,
    RECORDINGS,
    Circumstances,
    RecordedCall,
    Recording,
)
from longshore.store.base import Store, StoreUnavailable, Tx

log = logging.getLogger("longshore.iam")

WRITTEN_EVERY_S = 0.5
#: rows of one recording
MOST_CALLS = 2000
#: resources of a kind that are told apart, for each principal and action
MOST_OF_A_KIND = 100
_MOST_DROPPED_ACTIONS = 100
#: characters of a resource, of the circumstances of a call, and of a program's name
_LONGEST_RESOURCE, _LONGEST_CIRCUMSTANCES, _LONGEST_AGENT = 2048, 6000, 512
_MOST_REMEMBERED = 4096
#: moments that a later look cannot know any more
MOMENTS = frozenset({"aws:tokenissuetime", "aws:multifactorauthage"})
#: no part of what tells one call from another: moments, what follows from who calls, and the program, of which the last is kept
NOT_KEPT = MOMENTS | {
    *("aws:useragent", "aws:currenttime", "aws:epochtime", "aws:userid", "aws:principalaccount"),
    *("aws:viaawsservice", "aws:principalisawsservice"),
}


class Recorder:
    """Whoever starts or ends a recording calls `look`; whoever reads one, `flush`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._active: dict[str, _Active] = {}
        #: no longer recording, with something to be written
        self._ending: list[_Active] = []
        self._writing = asyncio.Lock()
        self.look()

    @property
    def listens(self) -> bool:
        return bool(self._active)

    def look(self) -> None:
        """See which recordings run."""
        now = self._clock.now()
        running = {one.key: one for one in self._store.list(RECORDINGS) if one.runs(now)}
        for key in [key for key in self._active if key not in running]:
            self._ending.append(self._active.pop(key))
        for key, recording in running.items():
            if key not in self._active or self._active[key].recording.started_at != recording.started_at:
                self._active[key] = _Active(self._store, recording)

    def note(self, made: Made) -> None:
        now = self._clock.now()
        for active in self._active.values():
            if active.recording.ends_at > now and active.is_meant(made):
                active.note(made, now)

    async def flush(self) -> None:
        """Write down what is not yet. Raises StoreUnavailable; it is tried again later then."""
        async with self._writing:
            written = [*self._active.values(), *self._ending]
            rows = {active: active.taken() for active in written}

            def put(tx: Tx) -> None:
                for active, calls in rows.items():
                    kept = tx.get(RECORDINGS, active.recording.key)
                    if kept is None or kept.started_at != active.recording.started_at:
                        continue  # deleted meanwhile, or everything was
                    for call in calls:
                        tx.put(RECORDED_CALLS, call)
                    if active.drops_more:
                        tx.put(RECORDINGS, active.with_dropped(kept))

            if any(calls or active.drops_more for active, calls in rows.items()):
                try:
                    await self._store.transact(put)
                except BaseException:
                    for active in written:
                        active.give_back()
                    raise
            for active in written:
                active.written()
            self._ending = [active for active in self._ending if active not in written]

    async def run(self) -> None:
        """Until cancelled, which the last flush follows."""
        while True:
            await self._clock.sleep(WRITTEN_EVERY_S)
            if self._active or self._ending:
                self.look()
                await self._try_to_flush()

    async def close(self) -> None:
        await self._try_to_flush()

    async def _try_to_flush(self) -> None:
        try:
            await self.flush()
        except StoreUnavailable as problem:
            log.warning("what was recorded cannot be written at present: %s", problem)


def _context_of(made: Made) -> Context:
    """What cannot be told of a request that makes no sense is left out: the request itself is to be refused for that, not here."""
    try:
        return made.context()
    except AwsError:
        return {}


class _Row:
    """A call as it is being counted."""

    __slots__ = ("allowed", "call", "denied", "is_new", "last", "user_agent", "would_allow", "would_deny", "would_say")

    def __init__(self, call: RecordedCall) -> None:
        self.call = call
        self.allowed, self.denied = call.allowed, call.denied
        self.would_deny, self.would_allow, self.would_say = call.would_deny, call.would_allow, call.would_say
        self.last: tuple[float, str, str] = (call.last_at, call.session_name, call.user_id)
        self.user_agent = call.user_agent
        #: counted since it was last handed out to be written
        self.is_new = False

    def as_it_is(self) -> RecordedCall:
        call = self.call
        return RecordedCall(
            recording=call.recording,
            principal=call.principal,
            action=call.action,
            resource=call.resource,
            circumstances=call.circumstances,
            is_pattern=call.is_pattern,
            allowed=self.allowed,
            denied=self.denied,
            first_at=call.first_at,
            last_at=self.last[0],
            session_name=self.last[1],
            user_id=self.last[2],
            user_agent=self.user_agent,
            would_deny=self.would_deny,
            would_allow=self.would_allow,
            would_say=self.would_say,
        )


class _Active:
    """One recording that runs, or has just ended."""

    def __init__(self, store: Store, recording: Recording) -> None:
        self.recording = recording
        self._store = store
        self._principals = frozenset(recording.principals)
        self._rows: dict[str, _Row] = {}
        #: resources told apart by (principal, action, pattern)
        self._kinds: Counter[tuple[str, str, str]] = Counter()
        #: question -> (revision of the store, its row)
        self._remembered: dict[Hashable, tuple[int, _Row]] = {}
        self._dirty: list[_Row] = []
        self._handed_out: list[_Row] = []
        self._standings: dict[str, tuple[int, Standing]] = {}
        self.dropped = recording.dropped
        self._dropped_written = self._dropped_handed_out = recording.dropped
        self._dropped_actions = set(recording.dropped_actions)
        for call in store.list(RECORDED_CALLS, "recording", recording.key):
            self._keep(call)

    def is_meant(self, made: Made) -> bool:
        principal = made.principal
        if principal.account_id != self.recording.account_id:
            return False
        return not self._principals or principal.identity_arn in self._principals

    def note(self, made: Made, now: float) -> None:
        question = (made.principal.key, made.action, made.resource, made.alike) if made.alike is not None else None
        revision = self._store.revision
        known = self._remembered.get(question) if question is not None else None
        if known is not None and known[0] == revision:
            row: _Row | None = known[1]
        else:
            row = self._row(made, now)
            if row is not None and question is not None:
                if len(self._remembered) >= _MOST_REMEMBERED:
                    self._remembered.clear()
                self._remembered[question] = (revision, row)
        if row is None:
            self.dropped += 1
            if len(self._dropped_actions) < _MOST_DROPPED_ACTIONS:
                self._dropped_actions.add(made.action[:128])
            return
        if made.denial is None:
            row.allowed += 1
        else:
            row.denied += 1
        row.last = (now, made.principal.arn.rpartition("/")[2] if made.principal.role_arn else "", made.principal.user_id)
        if self.recording.changes:
            self._try(made, row)
        if not row.is_new:
            row.is_new = True
            self._dirty.append(row)

    def _row(self, made: Made, now: float) -> _Row | None:
        """The row of a call; None where there is no room for it."""
        context = _context_of(made)
        circumstances: Circumstances = tuple(
            (key, tuple(values)) for key, values in sorted(context.items()) if key not in NOT_KEPT and values and values != [""]
        )
        if len(made.resource) > _LONGEST_RESOURCE or _length(circumstances) > _LONGEST_CIRCUMSTANCES:
            return None
        found = self._found(made, circumstances, now)
        if found is not None:
            found.user_agent = next(iter(context.get("aws:useragent", ())), "")[:_LONGEST_AGENT]
        return found

    def _found(self, made: Made, circumstances: Circumstances, now: float) -> _Row | None:
        principal = made.principal.identity_arn
        call = RecordedCall(self.recording.key, principal, made.action, made.resource, circumstances, first_at=now)
        found = self._rows.get(call.key)
        if found is not None:
            return found
        wider = generalised(made.resource)
        if wider is not None and self._kinds[principal, made.action, wider.pattern] >= MOST_OF_A_KIND:
            call = RecordedCall(self.recording.key, principal, made.action, wider.pattern, circumstances, is_pattern=True, first_at=now)
            found = self._rows.get(call.key)
            if found is not None:
                return found
        return self._keep(call) if len(self._rows) < MOST_CALLS else None

    def _keep(self, call: RecordedCall) -> _Row:
        row = self._rows[call.key] = _Row(call)
        wider = generalised(call.resource)
        if wider is not None:
            self._kinds[call.principal, call.action, wider.pattern] += 1
        return row

    def _try(self, made: Made, row: _Row) -> None:
        """What would be decided if the recording's changes were made, in the circumstances of this very call."""
        heard, after = made.heard(), self._changed(made)
        decided = verdict(made.principal, made.action, made.resource, _context_of(made), heard, after)
        if made.denial is None and not decided.allowed:
            row.would_deny, row.would_say = row.would_deny + 1, decided.why
        elif made.denial is not None and decided.allowed:
            row.would_allow, row.would_say = row.would_allow + 1, decided.why

    def _changed(self, made: Made) -> Standing:
        owner, revision = made.principal.identity_arn, self._store.revision
        kept = self._standings.get(owner)
        if kept is None or kept[0] != revision:
            kept = (revision, changed(standing_of(self._store, owner), self.recording.changes))
            self._standings[owner] = kept
        return kept[1]

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def drops_more(self) -> bool:
        return self._dropped_handed_out != self._dropped_written

    def taken(self) -> list[RecordedCall]:
        """What is to be written; counted anew from here on."""
        self._handed_out, self._dirty = self._dirty, []
        self._dropped_handed_out = self.dropped
        for row in self._handed_out:
            row.is_new = False
        return [row.as_it_is() for row in self._handed_out]

    def give_back(self) -> None:
        """It could not be written."""
        for row in self._handed_out:
            if not row.is_new:
                row.is_new = True
                self._dirty.append(row)
        self._handed_out = []

    def written(self) -> None:
        self._handed_out = []
        self._dropped_written = self._dropped_handed_out

    def with_dropped(self, kept: Recording) -> Recording:
        return replace(kept, dropped=self._dropped_handed_out, dropped_actions=tuple(sorted(self._dropped_actions)))


def _length(circumstances: Sequence[tuple[str, Sequence[str]]]) -> int:
    return sum(len(key) + sum(map(len, values)) for key, values in circumstances)
