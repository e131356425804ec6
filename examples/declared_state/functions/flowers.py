"""Packages and data of its own. Call it with: fitq call flowers --input flowers=flowers --follow"""

import joblib
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from fitq import RunContext, function


@function
def flowers(run: RunContext, neighbours: int = 3) -> None:
    """Tell three kinds of iris apart by their nearest neighbours."""
    rows = pd.read_csv(run.inputs["flowers"])
    model = KNeighborsClassifier(neighbours).fit(rows.drop(columns="kind"), rows["kind"])
    run.log("accuracy", model.score(rows.drop(columns="kind"), rows["kind"]))
    joblib.dump(model, run.outputs / "model.joblib")
