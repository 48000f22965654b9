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


class LayerNotFound(LayersNotFoundException):
    """The same, when one layer is asked for by itself."""

    code = "LayersNotFoundException"

    def __init__(self, digest: str, name: str, registry_id: str) -> None:
        AwsError.__init__(
            self,
            f"The layer with digest '{digest}' does not exist in the repository with name '{name}' in the registry with id '{registry_id}'",
        )


class ReferencedImagesNotFoundException(AwsError):
    def __init__(self, digests: Iterable[str], name: str, registry_id: str) -> None:
        super().__init__(
            f"Images with digests '[{', '.join(digests)}]' required for pushing image into repository with name '{name}' in the registry with id '{registry_id}' do not exist"
        )


class ValidationException(AwsError):
    """There was an exception validating this request."""


class LimitExceededException(AwsError):
    """The operation did not succeed because it would have exceeded a service limit for your account. For more information, see Amazon ECR service quotas in the Amazon Elastic Container Registry User Guide."""


class LifecyclePolicyNotFoundException(AwsError):
    def __init__(self, name: str, registry_id: str) -> None:
        super().__init__(f"Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{registry_id}'")


class LifecyclePolicyPreviewInProgressException(AwsError):
    """The previous lifecycle policy preview request has not completed. Wait and try again."""


class LifecyclePolicyPreviewNotFoundException(AwsError):
    def __init__(self, name: str, registry_id: str) -> None:
        super().__init__(
            f"Lifecycle policy preview does not exist for the repository with name '{name}' in the registry with id '{registry_id}'"
        )


class RepositoryPolicyNotFoundException(AwsError):
    def __init__(self, name: str, registry_id: str) -> None:
        super().__init__(f"Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry_id}'")


class RegistryPolicyNotFoundException(AwsError):
    def __init__(self, registry_id: str) -> None:
        super().__init__(f"Registry policy does not exist in the registry with id '{registry_id}'")


class UploadNotFoundException(AwsError):
    def __init__(self, upload_id: str, name: str, registry_id: str) -> None:
        super().__init__(
            f"The upload with id '{upload_id}' does not exist in the repository with name '{name}' in the registry with id '{registry_id}'"
        )


class EmptyUploadException(AwsError):
    """The specified layer upload does not contain any layer parts."""


class InvalidLayerException(AwsError):
    """The layer digest calculation performed by Amazon ECR upon receipt of the image layer does not match the digest specified."""


class InvalidLayerPartException(AwsError):
    """The layer part size is not valid, or the first byte specified is not consecutive to the last byte of a previous layer part upload."""


class LayerPartTooSmallException(AwsError):
    """Layer parts must be at least 5 MiB in size."""


class LayerAlreadyExistsException(AwsError):
    def __init__(self, digest: str, name: str, registry_id: str) -> None:
        super().__init__(
            f"Layer with digest '{digest}' already exists in the repository with name '{name}' in registry with id '{registry_id}'"
        )


class LayerInaccessibleException(AwsError):
    """The specified layer is not available because it is not associated with an image. Unassociated image layers may be cleaned up at any time."""


class ImageStorageClassUpdateNotSupportedException(AwsError):
    """The requested image storage class update is not supported."""


class ImageArchivedException(AwsError):
    """The specified image is archived and cannot be scanned."""


class ExclusionAlreadyExistsException(AwsError):
    """The specified pull time update exclusion already exists for the registry."""


class ExclusionNotFoundException(AwsError):
    """The specified pull time update exclusion was not found."""


class TemplateAlreadyExistsException(AwsError):
    """The repository creation template already exists. Specify a unique prefix and try again."""


class TemplateNotFoundException(AwsError):
    """The specified repository creation template can't be found. Verify the registry ID and prefix and try again."""


class PullThroughCacheRuleAlreadyExistsException(AwsError):
    """A pull through cache rule with these settings already exists for the private registry."""


class PullThroughCacheRuleNotFoundException(AwsError):
    """The pull through cache rule was not found. Specify a valid pull through cache rule and try again."""


class UnsupportedUpstreamRegistryException(AwsError):
    """The specified upstream registry isn't supported."""


class UnableToGetUpstreamImageException(AwsError):
    """The image or images were unable to be pulled using the pull through cache rule. This is usually caused because of an issue with the Secrets Manager secret containing the credentials for the upstream registry."""


class UnableToGetUpstreamLayerException(AwsError):
    """There was an issue getting the upstream layer matching the pull through cache rule."""


class SecretNotFoundException(AwsError):
    """The ARN of the secret specified in the pull through cache rule was not found. Update the pull through cache rule with a valid secret ARN and try again."""


class UnableToAccessSecretException(AwsError):
    """The secret is unable to be accessed. Verify the resource permissions for the secret and try again."""


class UnableToDecryptSecretValueException(AwsError):
    """The secret is accessible but is unable to be decrypted. Verify the resource permissions and try again."""


class ReplicationBackfillInProgressException(AwsError):
    """A replication backfill is already in progress for the specified destination Region."""


class ReplicationBackfillInvalidStatusException(AwsError):
    """The requested operation can't be performed on the replication backfill because it is not in a valid status for that operation."""


class ReplicationBackfillNotFoundException(AwsError):
    """The specified replication backfill could not be found. Check the specified replication backfill ID and ensure that you are operating on the correct registry."""


class KmsException(AwsError):
    """The operation failed due to a KMS exception."""


class ScanNotFoundException(AwsError):
    def __init__(self, image: str, name: str, registry_id: str) -> None:
        """`image` is what was asked for, as `described` in names.py says it."""
        super().__init__(
            f"Image scan does not exist for the image with '{image}' in the repository with name '{name}' in the registry with id '{registry_id}'"
        )


class UnsupportedImageTypeException(AwsError):
    """The image is of a type that cannot be scanned."""
