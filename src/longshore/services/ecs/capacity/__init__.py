"""Capacity providers, and strategies that split tasks over them."""
