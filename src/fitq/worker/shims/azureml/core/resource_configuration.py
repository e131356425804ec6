"""What a model's service should have."""

from ._client import load

ResourceConfiguration = load("fitq.sdk.registering", "ResourceConfiguration")
