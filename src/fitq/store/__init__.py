"""Where things are kept: Redis for what changes, an S3 object store for what does not."""
