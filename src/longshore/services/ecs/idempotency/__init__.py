"""Client tokens: a request that comes twice is carried out once."""
