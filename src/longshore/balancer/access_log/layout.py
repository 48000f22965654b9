"""Where a log file lies and what it is called, as S3 would have it. Pure.

There is no S3: a bucket is a directory. Its name and prefix come from a client and were checked where they came in
(services/elbv2/buckets.py); they are checked again here, since what is made of them is a path.
"""

from __future__ import annotations

from datetime import UTC, datetime

from longshore.balancer.access_log.legend import Legend, Place
from longshore.services.elbv2.buckets import is_bucket, is_prefix


class Unplaceable(ValueError):
    """A bucket or prefix that is none."""


def path_of(place: Place, legend: Legend, *, kind: str, end: float, node: str, mark: str) -> str:
    """Relative to where buckets are. `kind` is access or connection; `mark` tells files of the same minute apart."""
    if not is_bucket(place.bucket) or not is_prefix(place.prefix):
        raise Unplaceable(f"{place.bucket!r}, {place.prefix!r}")
    region, _, account = legend.scope.partition(":")
    ended = datetime.fromtimestamp(end, UTC)
    folders = [place.bucket, *([place.prefix] if place.prefix else []), "AWSLogs", account, "elasticloadbalancing", region]
    begin = f"{account}_elasticloadbalancing_{region}"
    match legend.type:
        case "classic":
            name = f"{begin}_{legend.load_balancer_name}_{ended:%Y%m%dT%H%MZ}_{node}_{mark}.log"
        case "network":
            name = f"{begin}_{legend.id.replace('/', '.')}_{ended:%Y%m%dT%H%MZ}_{mark}.log.gz"
        case _:
            before = "conn_log." if kind == "connection" else ""
            name = f"{before}{begin}_{legend.id.replace('/', '.')}_{ended:%Y%m%dT%H%MZ}_{node}_{mark}.log.gz"
    return "/".join([*folders, f"{ended:%Y}", f"{ended:%m}", f"{ended:%d}", name])
