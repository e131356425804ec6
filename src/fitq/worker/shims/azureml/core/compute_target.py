"""Where Azure keeps the error of compute targets."""

from azureml.exceptions import ComputeTargetException

__all__ = ["ComputeTargetException"]
