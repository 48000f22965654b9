"""What is to be done about one image that is to be at one destination: a pure function of what was read.

An image is carried with all it consists of, children before the index that names them. What is in the way for good (no
permission, no such registry) fails it until it is pushed or carried anew; what may pass (a registry that does not answer, layers that
are still to come) is tried again, at growing intervals and for as long as the image is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from longshore.kit.backoff import backoff_s
from longshore.services.ecr.model import Image
from longshore.services.ecr.replication.model import Replication

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 900.0
#: failures in a row after which an image is shown as FAILED, though it is still tried
SHOWN_AFTER = 6


class Snapshot(NamedTuple):
    now: float
    replication: Replication
    #: the image and everything below it that is at the source, by digest; without the image itself, it is gone
    images: Mapping[str, Image]
    #: what the tags of `replication` stand for at the source
    tags: Mapping[str, str]
    #: layers and configs that the source shows, of those that the images name
    layers: frozenset[str]
    #: what the destination refuses for good, as a failure code; "" for nothing
    refusal: str
    #: the configuration still sends the repository there
    configured: bool


class Plan(NamedTuple):
    #: digests, children first; empty where nothing is to be carried now
    carry: tuple[str, ...] = ()
    #: tags the image is to have there
    tags: tuple[str, ...] = ()
    #: why it cannot be carried at all
    refused: str = ""
    #: why it cannot be carried yet
    lacking: str = ""
    #: seconds until it is its turn
    wait_s: float | None = None


def plan(snapshot: Snapshot) -> Plan:
    replication = snapshot.replication
    root = snapshot.images.get(replication.digest)
    if root is None:
        return Plan()
    if replication.retry_at is not None and replication.retry_at > snapshot.now:
        return Plan(wait_s=replication.retry_at - snapshot.now)
    if snapshot.refusal:
        return Plan(refused=snapshot.refusal)
    order = children_first(snapshot.images, root)
    needed = {r.digest for digest in order for r in snapshot.images[digest].references if not r.is_manifest and not r.foreign}
    if not needed <= snapshot.layers:
        return Plan(lacking="LayersNotFound")
    tags = tuple(tag for tag in replication.tags if snapshot.tags.get(tag) == replication.digest)
    return Plan(carry=order, tags=tags)


def children_first(images: Mapping[str, Image], root: Image) -> tuple[str, ...]:
    """Digests of `root` and all below it that are in `images`, each once and after everything it consists of."""
    order: dict[str, None] = {}
    opened: set[str] = set()
    stack = [root]
    while stack:
        image = stack[-1]
        if image.digest not in opened:
            opened.add(image.digest)
            below = (images.get(reference.digest) for reference in image.references if reference.is_manifest)
            stack.extend(child for child in below if child is not None and child.digest not in opened)
            continue
        stack.pop()
        order.setdefault(image.digest)
    return tuple(order)


def wait_s(attempts: int, fraction: float) -> float:
    """Seconds until an image that failed `attempts` times in a row is tried again."""
    return backoff_s(attempts - 1, fraction, first_s=FIRST_WAIT_S, most_s=LONGEST_WAIT_S)
