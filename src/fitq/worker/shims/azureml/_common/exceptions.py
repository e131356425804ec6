"""The base of Azure's errors."""

from azureml.exceptions import AzureMLException

__all__ = ["AzureMLException"]
