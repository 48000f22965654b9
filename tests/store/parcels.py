"""Two small kinds for the store's tests, with every sort of index and total."""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind, Total


class Parcel(msgspec.Struct, frozen=True):
    name: str
    depot: str = ""
    labels: tuple[str, ...] = ()
    seal: str = ""
    grams: int = 0


class Truck(msgspec.Struct, frozen=True):
    plate: str
    version: int = 1


def _next(before: Truck, after: Truck) -> Truck:
    return msgspec.structs.replace(after, version=before.version + 1)


PARCELS: Kind[Parcel] = Kind(
    name="test.parcel",
    type=Parcel,
    key=lambda parcel: parcel.name,
    indexes={
        "depot": lambda parcel: (parcel.depot,) if parcel.depot else (),
        "label": lambda parcel: parcel.labels,
        "seal": lambda parcel: (parcel.seal,) if parcel.seal else (),
    },
    unique=frozenset({"seal"}),
    totals={"in_depot": Total(width=2, group=lambda parcel: parcel.depot or None, amounts=lambda parcel: (1, parcel.grams))},
    recurring=("depot",),
)

TRUCKS: Kind[Truck] = Kind(name="test.truck", type=Truck, key=lambda truck: truck.plate, succeed=_next)

KINDS = (PARCELS, TRUCKS)
