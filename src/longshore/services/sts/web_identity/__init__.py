"""Who comes with an identity provider's token instead of a signature: where its keys are had from, and what it must say."""
