"""Text as packages' databases write it: paragraphs of `Field: value`, and values no longer than a sane one is."""

from __future__ import annotations

from collections.abc import Iterator

#: longer names and versions are cut: none that a database of vulnerabilities knows is nearly as long
LONGEST = 256


def paragraphs(content: bytes) -> Iterator[dict[str, str]]:
    """Field names as they stand; lines that continue a field are left out."""
    fields: dict[str, str] = {}
    for line in content.decode(errors="replace").split("\n"):
        if not line.strip():
            if fields:
                yield fields
                fields = {}
        elif line[0] not in " \t":
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(name, value.strip()[:LONGEST])
    if fields:
        yield fields
