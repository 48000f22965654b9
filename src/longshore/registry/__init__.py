"""The OCI registry: what `docker push` and `docker pull` speak with, over ECR's repositories."""
