"""The pull-through cache: repositories that mirror those of another registry, filled by whoever pulls."""
