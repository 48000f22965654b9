"""ECR's errors, in AWS's codes and words."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import AwsError


class InvalidParameterException(AwsError):
    """The specified parameter is invalid. Review the available parameters for the API request."""


class InvalidTagParameterException(AwsError):
    """An invalid parameter has been specified. Tag keys can have a maximum character length of 128 characters, and tag values can have a maximum length of 256 characters."""


class TooManyTagsException(AwsError):
    """The list of tags on the repository is over the limit. The maximum number of tags that can be applied to a repository is 50."""


class RepositoryAlreadyExistsException(AwsError):
    def __init__(self, name: str, registry_id: str) -> None:
        super().__init__(f"The repository with name '{name}' already exists in the registry with id '{registry_id}'")


class RepositoryNotFoundException(AwsError):
    def __init__(self, name: str, registry_id: str) -> None:
        super().__init__(f"The repository with name '{name}' does not exist in the registry with id '{registry_id}'")


class RepositoryNotEmptyException(AwsError):
    def __init__(self, name: str, registry_id: str) -> None:
        super().__init__(
            f"The repository with name '{name}' in registry with id '{registry_id}' cannot be deleted because it still contains images"
        )


class ImageNotFoundException(AwsError):
    def __init__(self, image: str, name: str, registry_id: str) -> None:
        """`image` is what was asked for, as `described` in names.py says it."""
        super().__init__(
            f"The image with imageId {image} does not exist within the repository with name '{name}' in the registry with id '{registry_id}'"
        )


class ImageAlreadyExistsException(AwsError):
    def __init__(self, digest: str, tag: str | None, name: str, registry_id: str) -> None:
        tagged = f" and tag '{tag}'" if tag else ""
        super().__init__(
            f"Image with digest '{digest}'{tagged} already exists in the repository with name '{name}' in registry with id '{registry_id}'"
        )


class ImageTagAlreadyExistsException(AwsError):
    def __init__(self, tag: str, name: str) -> None:
        super().__init__(
            f"The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the repository is immutable."
        )


class ImageDigestDoesNotMatchException(AwsError):
    def __init__(self, given: str, calculated: str) -> None:
        super().__init__(f"The image digest '{given}' does not match the digest '{calculated}' that was calculated for the image")


class LayersNotFoundException(AwsError):
    def __init__(self, digests: Iterable[str], name: str, registry_id: str) -> None:
        super().__init__(
            f"Layers with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' in the registry with id '{registry_id}' do not exist"
        )


class ReferencedImagesNotFoundException(AwsError):
    def __init__(self, digests: Iterable[str], name: str, registry_id: str) -> None:
        super().__init__(
            f"Images with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' in the registry with id '{registry_id}' do not exist"
        )
