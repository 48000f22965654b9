"""Debian packages: var/lib/dpkg/status, and status.d/ in images that were put together without dpkg itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from longshore.scanner.inventory.text import paragraphs
from longshore.scanner.layers import File
from longshore.scanner.report import Package

_STATUS, _STATUS_D = "var/lib/dpkg/status", "var/lib/dpkg/status.d/"
_SOURCE = re.compile(r"(\S+)(?:\s+\((\S+)\))?")


def read(files: Mapping[str, File]) -> Iterator[Package]:
    for path, file in files.items():
        if path == _STATUS or path.startswith(_STATUS_D):
            for fields in paragraphs(file.content):
                package = _package(fields, path, file.layer)
                if package is not None:
                    yield package


def _package(fields: Mapping[str, str], path: str, layer: str) -> Package | None:
    """None for what is known but not installed: removed with its configuration left behind, or half-way."""
    name, version = fields.get("Package", ""), fields.get("Version", "")
    status = fields.get("Status")
    if not name or not version or (status is not None and status.split()[-1:] != ["installed"]):
        return None
    source = _SOURCE.match(fields.get("Source", ""))
    return Package(
        name=name,
        version=version,
        manager="dpkg",
        arch=fields.get("Architecture", ""),
        source=source[1] if source else "",
        source_version=(source[2] or "") if source else "",
        path=path,
        layer=layer,
    )
