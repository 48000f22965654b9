"""The reader of the spool: what it counts, and where it goes on."""

from __future__ import annotations

import gzip
import os
import threading
from pathlib import Path

import msgspec
import pytest

from longshore.balancer.access_log.legend import encoded
from longshore.balancer.access_log.reader import Reader, follow
from longshore.balancer.access_log.spool import Spool, begin_spool
from longshore.balancer.access_log.tally import Tally
from tests.balancer.access_log.test_formats import LEGEND, raw

NOW = 1_530_570_300.0


def reader_in(directory: Path) -> Reader:
    mark, content = encoded(LEGEND)
    (directory / "legends").mkdir(exist_ok=True)
    (directory / "legends" / f"{mark}.json").write_bytes(content)
    reader = Reader(directory / "lines", directory / "legends", directory / "state", directory / "buckets")
    reader.open()
    return reader


def write(directory: Path, *numbers: int, worker: int = 7) -> None:
    mark, _ = encoded(LEGEND)
    with (directory / "lines").open("ab") as file:
        file.writelines(raw(mark=mark, lc=str(number), pid=str(worker)) + b"\n" for number in numbers)


def tallied(directory: Path) -> Tally:
    found = [msgspec.json.decode(path.read_bytes(), type=Tally) for path in (directory / "state" / "told").glob("*.json")]
    return Tally([told for one in found for told in one.told], sum(one.lost for one in found), sum(one.malformed for one in found))


def lines_in(directory: Path) -> int:
    return sum(len(gzip.decompress(path.read_bytes()).splitlines()) for path in (directory / "buckets").rglob("[0-9]*_app*.gz"))


def test_lines_that_never_came_are_counted(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"#1\n")
    write(tmp_path, 0, 1, 4, 3, 5)  # 3 was overtaken; 2 is missing
    write(tmp_path, 0, 1, worker=8)
    reader = reader_in(tmp_path)
    reader.step(NOW)
    assert tallied(tmp_path).lost == 1


def test_what_is_not_whole_is_counted_and_what_is_nobodys_is_not(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"#1\nProxy f stopped.\n@R\tcut off\n")
    write(tmp_path, 0)
    reader = reader_in(tmp_path)
    reader.step(NOW)
    tally = tallied(tmp_path)
    assert (tally.malformed, tally.lost, len(tally.told)) == (1, 0, 1)


def test_one_that_was_killed_before_its_checkpoint_is_followed_by_one_that_tells_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"#1\n")
    write(tmp_path, 0, 1, 2)
    reader_in(tmp_path).step(NOW)  # counted, and not finished
    write(tmp_path, 3)
    reader = reader_in(tmp_path)
    reader.step(NOW)
    reader.finish(NOW)
    tally = tallied(tmp_path)
    assert lines_in(tmp_path) == 4
    assert (sum(times.count for told in tally.told for times in told.times.values()), tally.lost) == (4, 0)
    again = reader_in(tmp_path)
    again.step(NOW)
    again.finish(NOW)
    assert lines_in(tmp_path) == 4


def test_what_a_haproxy_before_wrote_comes_first_and_then_goes(tmp_path: Path) -> None:
    (tmp_path / "lines.1").write_bytes(b"#1\n")
    (tmp_path / "lines").write_bytes(b"#1\n")
    write(tmp_path, 0)
    (tmp_path / "lines").rename(tmp_path / "lines.1")
    (tmp_path / "lines").write_bytes(b"#2\n")
    write(tmp_path, 0, worker=9)
    reader = reader_in(tmp_path)
    for _ in range(2):
        reader.step(NOW)
        reader.next(NOW)
    reader.finish(NOW)
    assert lines_in(tmp_path) == 2
    assert [path.name for path in tmp_path.glob("lines*")] == ["lines"]


class SmallSpool(Spool):
    """As if there were little room on the disk."""

    def room(self) -> int:
        return 20_000


def with_little_room(reader: Reader, directory: Path) -> Reader:
    reader._spool = SmallSpool(directory / "lines", directory / "state" / "checkpoint.json")
    return reader


def test_what_there_is_no_room_for_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"#1\n")
    write(tmp_path, 0)
    reader = with_little_room(reader_in(tmp_path), tmp_path)
    reader.open()
    reader.step(NOW)
    reader.finish(NOW)
    write(tmp_path, *range(1, 500))
    assert reader._spool.waiting() > 20_000
    reader.keep_bounded(NOW)
    assert 0 < reader._spool.waiting() <= 10_000
    write(tmp_path, 500)
    again = reader_in(tmp_path)  # whoever was killed right now is followed by one that knows
    again.step(NOW)
    again.finish(NOW)
    assert lines_in(tmp_path) + tallied(tmp_path).lost == 501 and lines_in(tmp_path) > 10


def test_logs_that_cannot_be_written_take_no_more_room_than_there_is(tmp_path: Path) -> None:
    """Not even when HAProxy has begun again meanwhile."""
    (tmp_path / "lines").write_bytes(b"#1\n")
    write(tmp_path, *range(50))
    reader = with_little_room(reader_in(tmp_path), tmp_path)
    reader.open()
    (tmp_path / "buckets").write_bytes(b"no directory")
    reader.step(NOW)
    with pytest.raises(OSError):
        reader.finish(NOW)
    write(tmp_path, *range(50, 500))
    os.close(begin_spool(tmp_path / "lines"))
    write(tmp_path, *range(500), worker=8)
    for _ in range(2):
        with pytest.raises(OSError):
            reader.open()
        reader.keep_bounded(NOW)
    assert sum(path.stat().st_size for path in tmp_path.glob("lines.*")) == 0 and reader._spool.waiting() <= 10_000
    (tmp_path / "buckets").unlink()
    reader.open()
    reader.step(NOW)
    reader.finish(NOW)
    assert 60 < lines_in(tmp_path) < 300, "those that were finished before, and the latest"


def test_the_reader_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"#1\n")
    write(tmp_path, 0)
    reader = reader_in(tmp_path)
    reader.step(NOW)
    (tmp_path / "buckets").write_bytes(b"no directory")
    with pytest.raises(OSError):
        reader.finish(NOW)
    over = threading.Event()
    over.set()
    follow(reader, over)  # fails, and says so, instead of ending in an error
    (tmp_path / "buckets").unlink()
    follow(reader, over)
    assert lines_in(tmp_path) == 1
