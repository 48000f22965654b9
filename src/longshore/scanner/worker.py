"""The process that reads what nobody vouches for: layers come in on its standard input, a report goes out.

    python -m longshore.scanner.worker scan     a Task as one line of JSON, then each layer in frames; a Report on standard output
    python -m longshore.scanner.worker index    a Making as one line of JSON; a Summary on standard output

A frame is its length in four bytes and so many bytes; a frame of length 0 ends a layer. The process limits itself before it
reads anything: memory, processor time, no files written (when it scans), no core dumps. Whatever a hostile layer makes of it, the server
only ever sees a short answer, or none. What is wrong with the input is said in words: `{"failure": …}`.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from longshore.scanner.index import Index, Unusable, build
from longshore.scanner.inventory import packages_of
from longshore.scanner.layers import Tree
from longshore.scanner.limits import Budget, Limits, Refused
from longshore.scanner.matching import match
from longshore.scanner.report import Report

NAME = "built-in"
NO_DATABASE = (
    "no vulnerability database: start with --vulnerability-database PATH, a directory, ZIP file or JSON lines of records in the OSV format "
    "(https://osv.dev)"
)


class Task(msgspec.Struct, frozen=True):
    #: digests, the lowest first
    layers: tuple[str, ...]
    #: file of the vulnerability index; "" where there is none
    index: str = ""
    #: why there is none, where that is not for lack of a database
    problem: str = ""
    limits: Limits = Limits()


class Making(msgspec.Struct, frozen=True):
    source: str
    target: str
    stamp: str
    #: bytes
    memory: int = 2 << 30


class Made(msgspec.Struct, frozen=True, omit_defaults=True):
    """What making an index came to."""

    failure: str = ""
    records: int = 0
    skipped: int = 0


class Frames:
    """The layers on standard input, one after the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = 0
        self._ended = True

    def begin(self) -> None:
        self._left, self._ended = 0, False

    def read(self, count: int) -> bytes:
        """At most `count` bytes of the present layer; b"" at its end. Raises EOFError when nobody sends any more."""
        while not self._left:
            if self._ended:
                return b""
            self._left = int.from_bytes(self._exactly(4), "big")
            self._ended = not self._left
        content = self._exactly(min(count, self._left))
        self._left -= len(content)
        return content

    def finish(self) -> None:
        """Past the rest of the layer."""
        while self.read(1 << 18):
            pass

    def _exactly(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) < count:
            raise EOFError
        return content


def scan(task: Task, frames: Frames) -> Report:
    """Never raises for what is in the layers."""
    budget = Budget(task.limits)
    tree = Tree(budget)
    try:
        for digest in task.layers:
            frames.begin()
            tree.add_layer(digest, frames.read)
            frames.finish()
        distribution, packages = packages_of(tree.files, task.limits)
    except Refused as refused:
        return Report(scanner=NAME, failure=str(refused))
    except MemoryError:
        return Report(scanner=NAME, failure="the image needs more memory to be read than it is given")
    if not packages:
        said = f" of {distribution.name or distribution.id}" if distribution.id else ""
        return Report(
            scanner=NAME, distribution=distribution, unsupported=True, failure=f"the image{said} has no packages that are known here"
        )
    known = Report(scanner=NAME, distribution=distribution, packages=packages)
    if not task.index:
        return msgspec.structs.replace(known, failure=task.problem or NO_DATABASE)
    try:
        index = Index(Path(task.index))
    except Unusable as unusable:
        return msgspec.structs.replace(known, failure=str(unusable))
    try:
        matched = match(packages, distribution, index, task.limits.findings)
    finally:
        index.close()
    return msgspec.structs.replace(
        known,
        findings=matched.findings,
        notes=matched.notes,
        failure=matched.failure,
        database_updated_at=index.updated_at,
        database_stamp=index.stamp,
    )


def confine(limits: Limits) -> None:
    """From here on this process can neither grow nor write."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: list[str]) -> int:
    os.nice(10)
    line = sys.stdin.buffer.readline()
    answer: msgspec.Struct
    if arguments == ["scan"]:
        task = msgspec.json.decode(line, type=Task)
        confine(task.limits)
        try:
            answer = scan(task, Frames(sys.stdin.buffer))
        except EOFError:
            return 1  # the server went away, or could not read a layer
    elif arguments == ["index"]:
        making = msgspec.json.decode(line, type=Making)
        resource.setrlimit(resource.RLIMIT_AS, (making.memory, making.memory))
        try:
            summary = build(Path(making.source), Path(making.target), making.stamp)
            answer = Made(records=summary.records, skipped=summary.skipped)
        except Unusable as unusable:
            answer = Made(failure=str(unusable))
        except MemoryError:
            answer = Made(failure=f"a record of {making.source} needs more memory to be read than it is given")
    else:
        return 2
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
