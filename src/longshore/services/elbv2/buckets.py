"""Names of buckets and prefixes for logs. Pure.

There is no S3 here: a bucket is a directory below the installation's own, made when the first file comes. Whoever may change a load
balancer's attributes may name any, since files lie below the account's own number in it, and nobody reads them over the API.
"""

from __future__ import annotations

import re

_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=@$,+ -]+(/[A-Za-z0-9!_.*'()=@$,+ -]+)*")
_MOST_PREFIX = 824


def is_bucket(name: str) -> bool:
    return _BUCKET.fullmatch(name) is not None


def is_prefix(text: str) -> bool:
    """Empty, or folders without a slash at either end. AWS refuses `AWSLogs` in it, which it appends itself."""
    if not text:
        return True
    if len(text) > _MOST_PREFIX or not _PREFIX.fullmatch(text):
        return False
    return all(len(part) <= 200 and not part.startswith(".") for part in text.split("/")) and "AWSLogs" not in text
