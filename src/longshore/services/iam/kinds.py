"""Every kind that IAM keeps."""

from __future__ import annotations

from typing import Any

from longshore.kit.resource import Kind
from longshore.services.iam import devices, federation, model, recording_model

KINDS: tuple[Kind[Any], ...] = (*model.KINDS, *federation.KINDS, *devices.KINDS, *recording_model.KINDS)
