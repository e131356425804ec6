"""Which wire formats each address takes. A new one is a file beside this, and a line here."""

from __future__ import annotations

from fitq.scoring.dialects import azure, csv_rows, kserve, mlflow, npy, oip, sagemaker
from fitq.scoring.dialects.form import Accepted

TABLES = (csv_rows.TABLE, npy.TABLE)

#: `/score` takes everybody's.
SCORE = Accepted((azure.DIALECT, azure.NAMED, oip.DIALECT, *mlflow.DIALECTS), TABLES, azure.DIALECT)
KSERVE_V1 = Accepted((kserve.DIALECT,), TABLES)
OPEN_INFERENCE = Accepted((oip.DIALECT,))
INVOCATIONS = Accepted((*mlflow.DIALECTS, sagemaker.DIALECT), TABLES, mlflow.INSTANCES)
