"""What a model's service should have."""

from azureml.core._client import load

ResourceConfiguration = load("fitq.sdk.model", "ResourceConfiguration")
