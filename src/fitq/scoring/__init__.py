"""The scoring program: one generic function in front of every registered model."""
