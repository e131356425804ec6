"""The base of Azure's errors."""

from ..exceptions import AzureMLException

__all__ = ["AzureMLException"]
