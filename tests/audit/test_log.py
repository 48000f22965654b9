"""The audit log: what is appended is there after any end of the process, and whoever changes a byte of it is found out."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.audit.layout import CLOSED, DIGEST, HEAD, OPEN, PUBLIC_KEY, Digest, files_of, key_of, new_key, opened
from longshore.audit.layout import Head as HeadOf
from longshore.audit.log import AuditLog, AuditUnavailable, open_audit_log
from longshore.audit.record import moment
from longshore.audit.verify import Verified, verify
from longshore.kit.clock import SteppedClock
from tests.audit.records import made

KEY = new_key()
ROOT = Path(__file__).resolve().parents[2]


async def a_log(directory: Path, clock: SteppedClock, **limits: float) -> AuditLog:
    return await open_audit_log(directory, KEY, clock, "000000000000/us-east-1", **limits)  # type: ignore[arg-type]


def verified(directory: Path) -> Verified:
    return verify(directory, key_of(KEY).public_key())


def written(directory: Path) -> list[bytes]:
    """Every line, the oldest first."""
    lines: list[bytes] = []
    for path in files_of(directory, CLOSED):
        lines += gzip.decompress(path.read_bytes()).splitlines()
    for path in files_of(directory, OPEN):
        lines += path.read_bytes().splitlines()
    return lines


async def test_how_far_a_log_reaches_is_told_with_what_has_no_digest_yet(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path / "audit", clock)
    for number in range(3):
        await log.tick()
        log.append(made(clock.now(), f"e-{number}"))
        found = verified(tmp_path / "audit")
        assert (found.oldest_event_time, found.newest_event_time) == ("2023-11-14T22:13:20Z", f"2023-11-14T22:{13 + 10 * number}:20Z")
        await clock.step(600)
    await log.close()


async def test_a_digest_of_a_long_file_knows_all_of_its_records_and_its_earliest_and_latest_time(tmp_path: Path) -> None:
    log = await a_log(tmp_path / "audit", SteppedClock())
    long = len(made(1_700_000_000.0, "e-0000"))
    times = dict.fromkeys(range(6000), 1700000000.0)
    # those that lie where one piece ends and the next begins
    times[(1 << 20) // long] -= 500
    times[(2 << 20) // long] += 500
    for number, at in times.items():
        log.append(made(at, f"e-{number:04}"))
    await log.close()
    (path,) = files_of(tmp_path / "audit", DIGEST)
    told = opened(key_of(KEY).public_key(), path.read_bytes(), Digest).log_file
    assert told.content_length > 2 << 20, "longer than what is read at once"
    assert (told.oldest_event_time, told.newest_event_time) == (moment(1_699_999_500), moment(1_700_000_500))
    found = verified(tmp_path / "audit")
    assert (found.problems, found.records) == ((), 6000)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """8 MiB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


async def test_on_a_full_disk_requests_still_leave_their_records_even_when_the_hour_is_over(small_disk: Path) -> None:
    clock = SteppedClock()
    log = await a_log(small_disk / "audit", clock)
    log.append(made(clock.now(), "before"))
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"0" * 4096)
    for number in range(3000):
        if number == 1500:
            await clock.step(4000)
            await log.tick()
        log.append(made(clock.now(), f"e-{number}"))
    with pytest.raises(AuditUnavailable):
        for number in range(100_000):
            log.append(made(clock.now(), f"more-{number}"))
    acknowledged = log.records
    (small_disk / "ballast").unlink()
    log.append(made(clock.now(), "after"))
    await log.close()
    found = verified(small_disk / "audit")
    assert (found.problems, found.records) == ((), acknowledged + 1)


async def some_hours(directory: Path, hours: int = 3, of_each: int = 4, of_last: int = 4) -> None:
    clock = SteppedClock()
    log = await a_log(directory, clock)
    for hour in range(hours):
        for number in range(of_last if hour == hours - 1 else of_each):
            log.append(made(clock.now(), f"e-{hour}-{number}"))
        await log.tick()
        await clock.step(3600)
    await log.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three hours, closed."""
    directory = tmp_path_factory.mktemp("audit") / "audit"
    asyncio.run(some_hours(directory))
    return directory


def test_a_closed_log_is_whole_and_nothing_in_it_can_be_read_by_others(kept: Path) -> None:
    found = verified(kept)
    assert (found.problems, found.digests, found.records, found.unsigned_records) == ((), 3, 12, 0)
    assert [path.stat().st_mode & 0o077 for path in kept.iterdir()] == [0] * 8
    assert kept.stat().st_mode & 0o077 == 0


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_change_of_any_byte_is_found(kept: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(kept.iterdir())), "file")
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1), "byte")
    other = data.draw(st.integers(1, 255), "changed by")
    try:
        path.write_bytes(content[:at] + bytes([content[at] ^ other]) + content[at + 1 :])
        assert verified(kept).problems
    finally:
        path.write_bytes(content)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_is_taken_away_cut_or_put_in_another_place_is_found(
    kept: Path, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = Path(shutil.copytree(kept, tmp_path_factory.mktemp("copy") / "audit"))
    path = copy / data.draw(st.sampled_from(sorted(path.name for path in copy.iterdir())))
    match data.draw(st.sampled_from(("remove", "cut", "append", "copy", "swap"))):
        case "remove":
            path.unlink()
        case "cut":
            os.truncate(path, data.draw(st.integers(0, path.stat().st_size - 1)))
        case "append":
            path.write_bytes(path.read_bytes() + b"\n")
        case "copy":
            shutil.copy(path, path.with_name("00000009-20991231T000000Z.log.gz"))
        case "swap":
            other = copy / data.draw(
                st.sampled_from(sorted(each.name for each in copy.iterdir() if each.read_bytes() != path.read_bytes()))
            )
            mine, its = path.read_bytes(), other.read_bytes()
            path.write_bytes(its)
            other.write_bytes(mine)
    assert verified(copy).problems


def test_who_takes_the_last_digest_away_together_with_its_file_is_found_by_the_head(kept: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kept, tmp_path / "audit"))
    for suffix in (CLOSED, DIGEST):
        files_of(copy, suffix)[-1].unlink()
    assert "the digest number 3 is missing" in verified(copy).problems


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_digest_and_its_file_out_of_another_past_of_the_same_log_are_found(kept: Path, tmp_path: Path, number: int) -> None:
    asyncio.run(some_hours(tmp_path / "other", of_each=5))
    copy = Path(shutil.copytree(kept, tmp_path / "audit"))
    for suffix in (CLOSED, DIGEST):
        shutil.copy(files_of(tmp_path / "other", suffix)[number], files_of(copy, suffix)[number])
    assert [problem for problem in verified(copy).problems if "does not follow" in problem or f"that {HEAD} names" in problem]


def test_another_end_of_the_same_past_is_found(kept: Path, tmp_path: Path) -> None:
    asyncio.run(some_hours(tmp_path / "other", of_last=5))
    copy = Path(shutil.copytree(kept, tmp_path / "audit"))
    for suffix in (CLOSED, DIGEST):
        shutil.copy(files_of(tmp_path / "other", suffix)[-1], files_of(copy, suffix)[-1])
    assert verified(copy).problems == (f"{files_of(copy, DIGEST)[-1].name} is not the digest that {HEAD} names",)


def test_another_public_key_verifies_nothing(kept: Path) -> None:
    found = verify(kept, key_of(new_key()).public_key())
    assert f"{HEAD} is not what was signed with this key" in found.problems
    assert any(problem.startswith(PUBLIC_KEY) for problem in found.problems)


async def test_a_log_that_is_being_written_verifies_and_says_what_nobody_vouches_for_yet(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path, clock)
    log.append(made(clock.now(), "a"))
    await log.tick()
    log.append(made(clock.now(), "b"))
    found = verified(tmp_path)
    assert (found.problems, found.records, found.open_records, found.unsigned_records) == ((), 2, 2, 1)
    await log.close()
    assert verified(tmp_path) == msgspec.structs.replace(
        found,
        digests=1,
        open_records=0,
        unsigned_records=0,
        last=1,
        oldest_event_time="2023-11-14T22:13:20Z",
        newest_event_time="2023-11-14T22:13:20Z",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes().replace(b"e-1", b"e-9")), "was changed while it was open"),
        (lambda path: path.write_bytes(path.read_bytes() + made(0.0, "foreign")), None),
        (lambda path: os.truncate(path, 20), "was changed while it was open"),
        (lambda path: path.unlink(), "was removed while it was open"),
    ],
    ids=["rewritten", "appended to", "cut", "removed"],
)  # fmt: skip
async def test_who_changes_a_file_while_it_is_open_is_told_of_by_its_digest(
    tmp_path: Path, change: Callable[[Path], None], says: str | None
) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path, clock)
    for number in range(3):
        log.append(made(clock.now(), f"e-{number}"))
    await log.tick()
    change(files_of(tmp_path, OPEN)[0])
    await log.close()
    problems = verified(tmp_path).problems
    if says is None:  # what was never appended by us is left out when the file is closed
        assert problems == () and len(written(tmp_path)) == 3
    else:
        assert len(problems) == 1 and says in problems[0]
    if "removed" in (says or ""):
        assert len(written(tmp_path)) == 3


async def left_behind(tmp_path: Path, count: int = 3) -> Path:
    """What a killed process leaves; returns the open file."""
    clock = SteppedClock()
    log = await a_log(tmp_path / "before", clock)
    for number in range(count):
        log.append(made(clock.now(), f"e-{number}"))
    await log.tick()
    log.append(made(clock.now(), "since the head was signed"))
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    await log.close()
    return files_of(tmp_path / "after", OPEN)[0]


async def test_after_a_kill_the_next_start_closes_the_file_and_goes_on(tmp_path: Path) -> None:
    open_file = await left_behind(tmp_path)
    with open_file.open("ab") as torn:
        torn.write(b'{"eventVersion":"1.11","userIden')
    log = await a_log(tmp_path / "after", SteppedClock())
    log.append(made(1_700_000_000.0, "after"))
    await log.close()
    found = verified(tmp_path / "after")
    assert (found.problems, found.digests, found.records) == ((), 2, 5)


async def test_what_is_done_to_the_log_while_nobody_writes_it_stands_in_the_next_digest(tmp_path: Path) -> None:
    open_file = await left_behind(tmp_path)
    open_file.write_bytes(open_file.read_bytes().replace(b"e-1", b"e-9"))
    log = await a_log(tmp_path / "after", SteppedClock())
    await log.close()
    assert [problem for problem in verified(tmp_path / "after").problems if "is not as it was left: 3 records" in problem]


async def test_an_open_file_that_is_taken_away_while_nobody_writes_is_told_of(tmp_path: Path) -> None:
    open_file = await left_behind(tmp_path)
    open_file.unlink()
    log = await a_log(tmp_path / "after", SteppedClock())
    log.append(made(1_700_000_000.0, "after"))
    await log.close()
    assert [problem for problem in verified(tmp_path / "after").problems if f"{open_file.name} is gone, which had 3 records" in problem]


async def test_times_that_are_none_are_found_and_stop_nothing(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path / "audit", clock)
    log.append(made(clock.now(), "e-1"))
    (path,) = files_of(tmp_path / "audit", OPEN)
    path.write_bytes(path.read_bytes().replace(b'"eventTime":"2023', b'"eventTime":"zzzz'))
    for number in (2, 3):
        await clock.step(3600)
        await log.tick()
        log.append(made(clock.now(), f"e-{number}"))
    await log.close()
    assert any("was changed while it was open" in problem for problem in verified(tmp_path / "audit").problems)
    assert verified(tmp_path / "audit").records == 3


async def test_full_files_are_closed_and_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path, clock, full_bytes=4_000, kept_bytes=3_000)
    for number in range(300):
        log.append(made(clock.now(), f"e-{number}-{random.Random(number).randbytes(40).hex()}"))
        if number % 10 == 9:
            await log.tick()
    await log.close()
    found = verified(tmp_path)
    assert found.problems == () and found.first > 1 and found.records < 300
    assert sum(path.stat().st_size for path in files_of(tmp_path, CLOSED)) <= 3_000
    assert len(files_of(tmp_path, CLOSED)) == len(files_of(tmp_path, DIGEST)) == found.digests


async def test_what_is_too_old_goes_and_the_head_says_where_the_log_begins(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path, clock, kept_s=86_400.0)
    for _ in range(30):
        log.append(made(clock.now(), "an hour"))
        await clock.step(3600)
        await log.tick()
    await log.close()
    head = opened(key_of(KEY).public_key(), (tmp_path / HEAD).read_bytes(), HeadOf)
    assert head.first > 1 and verified(tmp_path).problems == ()
    assert 24 <= verified(tmp_path).records <= 25


async def test_a_log_that_cannot_be_written_says_so_and_goes_on_when_it_can(tmp_path: Path) -> None:
    clock = SteppedClock()
    log = await a_log(tmp_path / "audit", clock)
    log.append(made(clock.now(), "a"))
    shutil.move(tmp_path / "audit", tmp_path / "elsewhere")
    await clock.step(3600)
    with pytest.raises(AuditUnavailable):
        log.append(made(clock.now(), "b"))
    shutil.move(tmp_path / "elsewhere", tmp_path / "audit")
    log.append(made(clock.now(), "c"))
    await log.close()
    assert len(written(tmp_path / "audit")) == 2
    assert verified(tmp_path / "audit").problems == ()


def test_no_record_that_was_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    told = []
    for turn in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.audit.acknowledging", tmp_path, KEY.hex(), str(turn)],
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        told += [line.strip() for line, _ in zip(process.stdout, range(400 + 100 * turn), strict=False)]
        process.kill()
        told += [line.strip() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        process.wait()
        process.stdout.close()

    async def close() -> None:
        await (await a_log(tmp_path, SteppedClock())).close()

    asyncio.run(close())
    there = {msgspec.json.decode(line)["eventID"] for line in written(tmp_path)}
    assert len(told) > 1000 and set(told) <= there
    assert verified(tmp_path).problems == ()
