"""kill -9 at random moments under a write load: whatever was acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from longshore.store.blobs import digest_of
from longshore.store.file_blobs import FileBlobStore
from longshore.store.sqlite import open_store
from tests.store.parcels import KINDS, PARCELS

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20


def killed_at(directory: Path, turn: int, acknowledgements: int) -> tuple[dict[str, int], list[str]]:
    """Run the writer until it has acknowledged that much, kill it; the last number per client, and the digests."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.store.acknowledging", directory, str(turn)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [line for line, _ in zip(process.stdout, range(acknowledgements), strict=False)]
    process.kill()
    lines += process.stdout.read().splitlines()
    process.wait()
    process.stdout.close()
    assert len(lines) >= acknowledgements, "the writer ended by itself"

    written: dict[str, int] = {}
    digests = []
    for line in lines:
        match line.split():
            case ["write", client, number]:
                written[client] = int(number)
            case ["blob", digest] if len(digest) == len("sha256:") + 64:
                digests.append(digest)
    return written, digests


async def verify(directory: Path, written: dict[str, int], digests: list[str]) -> None:
    store = await open_store(directory, KINDS)
    blobs = await FileBlobStore.open(directory / "registry")
    try:
        for client, number in written.items():
            counter = store.get(PARCELS, client)
            assert counter is not None, f"{client}: all {number} acknowledged writes are gone"
            assert counter.grams >= number, f"{client}: {number} was acknowledged, {counter.grams} is there"
            # Transactions are whole: the counter, the parcel it announces and the one it takes away belong together.
            kept = {f"{client}-{n}" for n in range(max(1, counter.grams - 2), counter.grams + 1)}
            assert {parcel.name for parcel in store.list(PARCELS, "depot", "shelf") if parcel.name.startswith(f"{client}-")} == kept
        for digest in digests:
            content = await blobs.read(digest)
            assert content is not None, f"{digest} is gone"
            assert digest_of(content) == digest
    finally:
        await store.close()
        await blobs.close()


def test_every_acknowledged_write_and_blob_outlives_the_process(tmp_path: Path) -> None:
    moments = random.Random(11)
    written: dict[str, int] = {}
    digests: list[str] = []
    for turn in range(KILLS):
        latest, arrived = killed_at(tmp_path, turn, moments.randrange(1, 400))
        written |= latest
        digests += arrived
        asyncio.run(verify(tmp_path, written, digests))
    assert len(digests) > KILLS
