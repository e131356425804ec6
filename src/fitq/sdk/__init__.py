"""What users hold: Python objects over the HTTP contract. Knows routes and records, never the stores."""
