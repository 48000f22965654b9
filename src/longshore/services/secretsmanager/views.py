"""What Secrets Manager answers with."""

from __future__ import annotations

from longshore.aws.shapes import secretsmanager as shapes
from longshore.services.secretsmanager.model import Secret


def tags_of(secret: Secret) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in secret.tags)
