"""Importing this package declares every CloudTrail operation that is served."""
