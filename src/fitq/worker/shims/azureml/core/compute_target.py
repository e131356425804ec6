"""Where Azure keeps the error of compute targets."""

from ..exceptions import ComputeTargetException

__all__ = ["ComputeTargetException"]
