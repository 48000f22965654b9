"""Tasks moved to where they balance better: planned from a snapshot, kept, and carried out step by step."""
