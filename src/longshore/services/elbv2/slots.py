"""What load balancers of every type share on this machine: numbers of loopback addresses, and the hosted zones of their names."""

from __future__ import annotations

import hashlib

from longshore.services.elbv2.model import LOAD_BALANCERS
from longshore.store.base import Reader


def free_slot(reader: Reader) -> int:
    """The lowest free number, over all accounts and regions: they share this machine's loopback network."""
    taken = {lb.slot for lb in reader.list(LOAD_BALANCERS)}
    return next(slot for slot in range(1, len(taken) + 2) if slot not in taken)


def hosted_zone_id(region: str, type: str) -> str:
    """A constant per region and type, as AWS has it."""
    return f"Z{hashlib.sha256(f'{region}:{type}'.encode()).hexdigest()[:13].upper()}"
