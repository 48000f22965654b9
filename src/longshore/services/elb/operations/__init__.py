"""Importing this package declares every operation of the API."""

__all__: list[str] = []
