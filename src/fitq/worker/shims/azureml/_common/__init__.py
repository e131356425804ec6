"""Where Azure's packages share things; here only the errors."""
