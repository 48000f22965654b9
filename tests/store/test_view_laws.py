"""Indexes, totals and listings say what a plain dictionary would, whatever transactions are finished, failed, committed or dropped."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from longshore.store.base import AlreadyExists, Reader
from longshore.store.overlay import Overlay
from longshore.store.view import View
from tests.store.parcels import KINDS, PARCELS, Parcel

NAMES = [f"p{number}" for number in range(6)]
DEPOTS = ["", "north", "south"]
LABELS = ["red", "blue"]
SEALS = ["", "s1", "s2"]
PAGES = st.tuples(st.none() | st.sampled_from(NAMES), st.none() | st.integers(0, 4))
PARCEL = st.builds(
    Parcel,
    name=st.sampled_from(NAMES),
    depot=st.sampled_from(DEPOTS),
    labels=st.lists(st.sampled_from(LABELS), max_size=3).map(tuple),
    seal=st.sampled_from(SEALS),
    grams=st.integers(-5, 5),
)

Model = dict[str, tuple[Parcel, int]]


class StoreLaws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.view = View(KINDS)
        self.overlay = self._new_overlay()
        #: what is committed, what finished transactions add to it, and what the running one does
        self.committed: Model = {}
        self.finished: Model = {}
        self.running: Model = {}

    def _new_overlay(self) -> Overlay:
        overlay = Overlay(self.view, 0)
        overlay.begin()
        return overlay

    @rule(parcel=PARCEL)
    def put(self, parcel: Parcel) -> None:
        taken = any(parcel.seal and other.seal == parcel.seal and other.name != parcel.name for other, _ in self.running.values())
        try:
            self.overlay.put(PARCELS, parcel)
        except AlreadyExists:
            assert taken
            return
        assert not taken
        self.running[parcel.name] = (parcel, self.overlay.revision + 1)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        self.overlay.delete(PARCELS, name)
        self.running.pop(name, None)

    @rule()
    def finish(self) -> None:
        before = self.overlay.revision
        changes = {change.key: (change.old, change.new) for change in self.overlay.finish()}
        for name in NAMES:
            old, new = (model.get(name, (None, 0)) for model in (self.finished, self.running))
            assert (name in changes) == (old != new)
            if old != new:
                assert changes[name] == (old[0], new[0])
        assert self.overlay.revision == before + bool(changes)
        self.finished = dict(self.running)
        self.overlay.begin()

    @rule()
    def fail(self) -> None:
        self.overlay.rollback()
        self.running = dict(self.finished)
        self.overlay.begin()

    @rule()
    def commit(self) -> None:
        self.overlay.rollback()
        rows = {row.key: (row.revision, row.body) for row in self.overlay.rows()}
        self.overlay.apply()
        for name in NAMES:
            if self.committed.get(name) != self.finished.get(name):
                parcel, revision = self.finished.get(name, (None, 0))
                assert (rows[name][1] is None) == (parcel is None)
                assert parcel is None or rows[name][0] == revision
        self.committed, self.running = dict(self.finished), dict(self.finished)
        self.overlay = self._new_overlay()

    @rule()
    def drop(self) -> None:
        self.overlay = self._new_overlay()
        self.finished, self.running = dict(self.committed), dict(self.committed)

    @invariant()
    def every_resource_is_found_at_its_revision(self) -> None:
        for reader, model in ((self.overlay, self.running), (self.view, self.committed)):
            for name in NAMES:
                assert (reader.get(PARCELS, name), reader.revision_of(PARCELS, name)) == model.get(name, (None, 0))

    @rule(page=PAGES)
    def list_all(self, page: tuple[str | None, int | None]) -> None:
        self._compare(None, None, page)

    @rule(
        page=PAGES, place=st.sampled_from([*(("depot", d) for d in DEPOTS), *(("label", x) for x in LABELS), *(("seal", s) for s in SEALS)])
    )
    def list_by_index(self, page: tuple[str | None, int | None], place: tuple[str, str]) -> None:
        self._compare(*place, page)

    @rule(depot=st.sampled_from(DEPOTS))
    def total(self, depot: str) -> None:
        for reader, model in self._readers():
            inside = [parcel for parcel, _ in model.values() if parcel.depot == depot and depot]
            assert reader.total(PARCELS, "in_depot", depot) == (len(inside), sum(parcel.grams for parcel in inside))

    def _readers(self) -> list[tuple[Reader, Model]]:
        return [(self.overlay, self.running), (self.view, self.committed)]

    def _compare(self, index: str | None, value: str | None, page: tuple[str | None, int | None]) -> None:
        after, limit = page
        for reader, model in self._readers():
            expected = [model[name][0] for name in sorted(model) if index is None or value in set(PARCELS.indexes[index](model[name][0]))]
            assert reader.count(PARCELS, index, value) == len(expected)
            found = reader.list(PARCELS, index, value, after=after, limit=limit)
            assert found == [parcel for parcel in expected if after is None or parcel.name > after][:limit]


TestStoreLaws = StoreLaws.TestCase
TestStoreLaws.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
