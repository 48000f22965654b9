"""A process that writes as fast as it can and tells, line by line, what was acknowledged; made to be killed.

    python -m tests.store.acknowledging DIRECTORY ROUND

Lines: `write CLIENT NUMBER` and `blob DIGEST`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from longshore.store.base import Store, Tx
from longshore.store.blobs import digest_of
from longshore.store.file_blobs import FileBlobStore
from longshore.store.sqlite import open_store
from tests.store.parcels import KINDS, PARCELS, Parcel

CLIENTS = 8
LARGE = b"layer" * 20_000


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def write(store: Store, client: str) -> None:
    """Every write counts up, moves the parcel to another depot, and leaves a parcel of its own."""
    number = 0
    while True:
        number += 1

        def change(tx: Tx, number: int = number) -> None:
            tx.put(PARCELS, Parcel(client, f"depot-{number % 3}", grams=number))
            tx.create(PARCELS, Parcel(f"{client}-{number}", "shelf", seal=f"{client}-{number}"))
            tx.delete(PARCELS, f"{client}-{number - 3}")

        await store.transact(change)
        tell(f"write {client} {number}")


async def upload(blobs: FileBlobStore, name: str) -> None:
    number = 0
    while True:
        number += 1
        content = LARGE + f"{name}-{number}".encode()
        digest = digest_of(content)
        if number % 2:
            await blobs.put(content, digest)
        else:
            arriving = await blobs.begin()
            await arriving.write(content[:70_000])
            await arriving.write(content[70_000:])
            await arriving.commit(digest)
        tell(f"blob {digest}")


async def main(directory: Path, turn: str) -> None:
    store = await open_store(directory, KINDS)
    blobs = await FileBlobStore.open(directory / "registry")
    await asyncio.gather(upload(blobs, turn), *(write(store, f"{turn}.{client}") for client in range(CLIENTS)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
