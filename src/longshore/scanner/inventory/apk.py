"""Alpine packages: lib/apk/db/installed, one letter per field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from longshore.scanner.inventory.text import paragraphs
from longshore.scanner.layers import File
from longshore.scanner.report import Package

_PATHS = ("lib/apk/db/installed", "usr/lib/apk/db/installed")


def read(files: Mapping[str, File]) -> Iterator[Package]:
    for path in _PATHS:
        file = files.get(path)
        if file is None:
            continue
        for fields in paragraphs(file.content):
            if fields.get("P") and fields.get("V"):
                yield Package(
                    name=fields["P"],
                    version=fields["V"],
                    manager="apk",
                    arch=fields.get("A", ""),
                    source=fields.get("o", ""),
                    path=path,
                    layer=file.layer,
                )
