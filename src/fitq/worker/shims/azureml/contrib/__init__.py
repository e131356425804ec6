"""Azure's packages beside its core: what entry scripts import of them."""
