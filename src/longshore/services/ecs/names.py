"""What names in ECS may look like."""

from __future__ import annotations

import re

#: clusters, services, families, containers, volumes
NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
