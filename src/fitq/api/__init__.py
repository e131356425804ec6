"""The control plane over HTTP: one file per noun, every handler parses, calls a rule, renders."""
