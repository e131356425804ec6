"""Azure's client names on fitq: put the folder above this one on PYTHONPATH (`fitq azureml-path`), and code
written for `azureml.core` submits, waits, registers and deploys here. Inside runs it is always there.

Inside a run only the standard library is needed, and any Python from 3.6 on.
"""

from . import _bridge, _missing

_bridge.find_fitq()
_missing.watch()
