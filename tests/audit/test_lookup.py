"""Looking records up: whatever is asked, in pages of whatever size, finds what reading everything would find."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.audit import lookup
from longshore.audit.layout import new_key
from longshore.audit.log import AuditLog, open_audit_log
from longshore.audit.lookup import Place, Query, Seen
from longshore.kit.clock import SteppedClock
from longshore.services.cloudtrail.searching import attribute, denied, doing, done_by, failed, query_of, to
from tests.audit.records import made

NAMES = ("RunTask", "ListClusters", "CreateUser")
USERS = ("ann", "bob")
ACCOUNTS = ("000000000000", "222222222222")
ARNS = tuple(f"arn:aws:ecs:us-east-1:000000000000:cluster/{name}" for name in ("web", "deb/web", 'ü"b'))

records = st.lists(
    st.fixed_dictionaries(
        {
            "event_name": st.sampled_from(NAMES),
            "who": st.sampled_from(USERS).map(lambda name: {"type": "IAMUser", "userName": name, "arn": f"arn:aws:iam::1:user/{name}"}),
            "recipient": st.sampled_from(ACCOUNTS),
            "resources": st.lists(st.sampled_from(ARNS).map(lambda arn: (arn, "AWS::ECS::Cluster")), max_size=2),
            "error_code": st.sampled_from((None, "AccessDenied", "Other")),
            "read_only": st.booleans(),
        }
    ),
    max_size=20,
)
filters = st.one_of(
    st.sampled_from(NAMES).map(lambda name: attribute("EventName", name)),
    st.sampled_from(USERS).map(lambda name: attribute("Username", name)),
    st.sampled_from(("web", ARNS[1], "b", "nothing")).map(lambda name: attribute("ResourceName", name)),
    st.sampled_from(("true", "false")).map(lambda value: attribute("ReadOnly", value)),
    st.sampled_from((done_by("ann"), done_by("arn:aws:iam::1:user/bob"), doing("ecs:RunTask"), to("web"), failed(), denied())),
)


async def everything(log: AuditLog, query: Query, limit: int) -> list[str]:
    found, place = [], None
    while True:
        page = await log.search(query, limit, place)
        assert len(page.matches) <= limit
        found += [match.seen.event_id for match in page.matches]
        if page.more is None:
            return found
        assert place is None or page.more < place, "it goes on"
        place = page.more


@settings(max_examples=30, deadline=None)
@given(
    given_records=records, wanted=st.lists(filters, max_size=2), limit=st.integers(1, 7), budget=st.integers(1_500, 9_000), data=st.data()
)
def test_pages_find_what_reading_everything_finds(
    given_records: list[dict[str, object]],
    wanted: list[lookup.Query],
    limit: int,
    budget: int,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    account = data.draw(st.sampled_from((*ACCOUNTS, "")))
    since, until = sorted((data.draw(st.integers(0, 40)), data.draw(st.integers(0, 40))))

    async def check() -> None:
        clock = SteppedClock()
        log = await open_audit_log(tmp_path_factory.mktemp("audit"), new_key(), clock, "tests", full_bytes=4_000)
        began, lines = clock.now(), []
        for number, record in enumerate(given_records):
            lines.append(made(clock.now(), f"e-{number}", **record))
            log.append(lines[-1])
            await clock.step(1)
            if number % 7 == 3:
                await log.tick()
        query = query_of(tuple(wanted), account_id=account, region="us-east-1", since=began + since, until=began + until)
        seen = [(number, msgspec.json.decode(line, type=Seen)) for number, line in enumerate(lines)]
        expected = [each.event_id for number, each in seen if since <= number <= until and query.holds(each)]
        assert await everything(log, query, limit) == expected[::-1]
        await log.close()

    before, lookup.MOST_LOOKED_AT = lookup.MOST_LOOKED_AT, budget
    try:
        asyncio.run(check())
    finally:
        lookup.MOST_LOOKED_AT = before


@pytest.mark.parametrize("budget", range(600, 1_300, 100))
async def test_a_line_that_one_reading_does_not_reach_whole_is_found_by_the_next_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(lookup, "MOST_LOOKED_AT", budget)
    log = await open_audit_log(tmp_path, new_key(), SteppedClock(), "tests")
    for number in range(6):
        log.append(made(0.0, f"e-{number}"))
    for query in (Query(), Query((b'"eventVersion"',)), Query((b'"requestID"',))):
        assert await everything(log, query, 50) == [f"e-{number}" for number in reversed(range(6))]
    await log.close()


async def test_a_file_that_is_closed_while_it_is_looked_at_is_found_under_its_new_name(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await open_audit_log(tmp_path, new_key(), clock, "tests")
    log.append(made(clock.now(), "e"))
    closed, growing = log.parts()
    await clock.step(3600)
    await log.tick()
    found = lookup.Reader(tmp_path).look_up(closed, growing, Query(), 5)
    assert [match.seen.event_id for match in found.matches] == ["e"]
    await log.close()


async def test_a_line_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    log = await open_audit_log(tmp_path, new_key(), SteppedClock(), "tests")
    log.append(b'{"not": "one of ours"}\nnor this\n', 2)
    log.append(made(0.0, "e"))
    assert [match.seen.event_id for match in (await log.search(Query(), 5)).matches] == ["e"]
    await log.close()


@pytest.mark.parametrize("room", range(1, 700, 37))
async def test_a_record_that_a_page_has_no_room_left_for_is_on_the_next(tmp_path: Path, room: int) -> None:
    log = await open_audit_log(tmp_path, new_key(), SteppedClock(), "tests", full_bytes=1)
    lengths = []
    for name in "abc":
        lengths.append(len(made(0.0, name)))
        log.append(made(0.0, name))
    before, lookup.MOST_LOOKED_AT = lookup.MOST_LOOKED_AT, max(lengths) + room
    try:
        assert await everything(log, Query(), 9) == ["c", "b", "a"]
    finally:
        lookup.MOST_LOOKED_AT = before
        await log.close()


async def test_a_record_from_before_the_clock_was_set_back_is_found_in_its_time(tmp_path: Path) -> None:
    clock = SteppedClock()
    log, began = await open_audit_log(tmp_path, new_key(), clock, "tests"), clock.now()
    for name, after in (("a", 0), ("b", 90), ("c", 50), ("d", 10)):
        log.append(made(began + after, name))
    await clock.step(3600)
    for _ in range(2):
        await log.tick()
    for since, until, found in ((began + 60, began + 99, ["b"]), (began + 5, began + 20, ["d"]), (began + 91, began + 99, [])):
        assert await everything(log, Query(since=since, until=until), 9) == found
    await log.close()


async def test_what_takes_long_to_look_for_holds_nobody_up(tmp_path: Path) -> None:
    # Looked for backwards, each place of such a record is compared with nearly all of what is asked.
    log = await open_audit_log(tmp_path, new_key(), SteppedClock(), "tests")
    for number in range(500):
        log.append(made(0.0, f"e{number}", request_parameters={"name": "a" * 8_000}))
    began = time.thread_time()
    page = log._reader.look_up(*log.parts(), query_of((attribute("ResourceName", "ab" + "a" * 1_990),), account_id=""), 50)
    assert (page.matches, page.more) == ((), None)
    assert time.thread_time() - began < 0.2
    await log.close()


@pytest.mark.parametrize(
    ("arn", "name", "is_named"),
    [("a:cluster/web", "web", True), ("a:cluster/deb/web", "deb/web", True), ("a:cluster/cobweb", "web", False)],
)
def test_a_resource_is_named_by_what_ends_its_arn(arn: str, name: str, is_named: bool) -> None:
    _, holds = to(name)
    seen = msgspec.json.decode(made(0.0, "e", resources=[(f"arn:aws:ecs:r:{arn}", "")]), type=Seen)
    assert holds(seen) is is_named


def test_the_sessions_of_a_role_are_its_own() -> None:
    _, holds = done_by("arn:aws:iam::1:role/deploy")
    whose = [
        msgspec.json.decode(made(0.0, "e", who={"type": "AssumedRole", "arn": f"arn:aws:sts::1:assumed-role/{path}"}), type=Seen)
        for path in ("deploy/ci", "deployer/ci")
    ]
    assert [holds(each) for each in whose] == [True, False]


def test_places_go_from_the_newest_to_the_oldest() -> None:
    places = [Place(2, 10), Place(2, 0), Place(1, 99)]
    assert all(later > earlier for later, earlier in pairwise(places))
