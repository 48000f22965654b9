"""An image as files, for scanners that are programs of their own: an OCI image layout in a directory that goes when they are done.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from longshore.scanner.seam import BlobRef, ImageSource

PREFIX = "scratch-"


@asynccontextmanager
async def exported(image: ImageSource, directory: Path) -> AsyncIterator[Path]:
    """The layout's directory, below `directory`. Raises OSError when there is no room."""
    await asyncio.to_thread(directory.mkdir, parents=True, exist_ok=True)
    root = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix=PREFIX, dir=directory))
    try:
        await _fill(image, root)
        yield root
    finally:
        await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)


def sweep(directory: Path) -> None:
    """What killed servers left behind."""
    for path in directory.glob(f"{PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


async def _fill(image: ImageSource, root: Path) -> None:
    manifest = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    small = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]},
    }
    for name, content in small.items():
        await asyncio.to_thread((root / name).write_bytes, msgspec.json.encode(content))
    path = await asyncio.to_thread(_place, root, image.digest)
    await asyncio.to_thread(path.write_bytes, image.manifest)
    for blob in dict.fromkeys((*((image.config,) if image.config else ()), *image.layers)):
        await _copy(blob, image, await asyncio.to_thread(_place, root, blob.digest))


def _place(root: Path, digest: str) -> Path:
    """Digests were checked when the manifest was pushed: neither part of one names another directory."""
    algorithm, _, digits = digest.partition(":")
    path = root / "blobs" / algorithm / digits
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


async def _copy(blob: BlobRef, image: ImageSource, path: Path) -> None:
    file = await asyncio.to_thread(path.open, "wb")
    try:
        async for piece in image.read(blob):
            await asyncio.to_thread(file.write, piece)
    finally:
        await asyncio.to_thread(file.close)
