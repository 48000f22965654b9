"""The reader of the spool: what it counts, and where it goes on."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec

from longshore.balancer.access_log.legend import encoded
from longshore.balancer.access_log.reader import Reader
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
