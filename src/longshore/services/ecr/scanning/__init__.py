"""Image scans: when one is wanted, what came of it, and how ECR tells it."""
