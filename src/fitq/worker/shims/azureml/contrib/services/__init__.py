"""For entry scripts that want the HTTP request itself, or answer with more than a value."""
