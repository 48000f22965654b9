"""Other registries, spoken to over the OCI protocol."""
