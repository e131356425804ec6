"""Predict disease progression with a ridge regression, choosing its strength by cross-validation."""

import joblib
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score, train_test_split

from fitq import RunContext, function


@function(pool="default")
def diabetes(run: RunContext, steps: int = 20, folds: int = 5) -> None:
    """Try `steps` regularisation strengths, log each one's score, keep the best model."""
    patients = load_diabetes()
    train_x, test_x, train_y, test_y = train_test_split(
        patients.data, patients.target, test_size=0.25, random_state=0
    )
    strengths = np.logspace(-4, 2, steps)
    scores = []
    for step, alpha in enumerate(strengths):
        score = cross_val_score(Ridge(alpha=alpha), train_x, train_y, cv=folds).mean()
        run.log("Cross-validated R2", score, step=step)
        scores.append(score)

    best = float(strengths[int(np.argmax(scores))])
    model = Ridge(alpha=best).fit(train_x, train_y)
    run.log("Best alpha", best)
    run.log("R2", r2_score(test_y, model.predict(test_x)))
    print(f"Best alpha {best:.4g}")
    joblib.dump(model, run.outputs / "model.joblib")
