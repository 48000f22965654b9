"""Python packages: METADATA of *.dist-info, PKG-INFO of *.egg-info and files *.egg-info, wherever they lie.

A wheel or egg is taken for installed where its metadata is. What a distribution's own packages brought is not asked for here (`owned.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from longshore.scanner.inventory.text import paragraphs
from longshore.scanner.layers import File
from longshore.scanner.report import Package

_ENDINGS = (".dist-info/METADATA", ".egg-info/PKG-INFO", ".egg-info")
_SEPARATORS = re.compile(r"[-_.]+")


def read(files: Mapping[str, File]) -> Iterator[Package]:
    for path, file in files.items():
        if not path.endswith(_ENDINGS):
            continue
        head = file.content.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
        fields = {name.lower(): value for name, value in next(paragraphs(head), {}).items()}
        name, version = fields.get("name", ""), fields.get("version", "")
        if name and version:
            yield Package(name=normalised(name), version=version, manager="pip", path=path, layer=file.layer)


def normalised(name: str) -> str:
    """Names that differ only in case and separators are one. https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return _SEPARATORS.sub("-", name).lower()
