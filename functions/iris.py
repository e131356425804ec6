"""Classify iris flowers with a support vector machine: the article's example as a training function."""

from typing import Literal

import joblib
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from fitq import RunContext, function


@function(pool="default")
def iris(
    run: RunContext,
    kernel: Literal["linear", "poly", "rbf", "sigmoid"] = "rbf",
    penalty: float = 1.0,
) -> None:
    """Train on 70 % of the iris data and log the accuracy on the rest.

    kernel: of the support vector machine; penalty: its C, larger fits closer.
    """
    flowers = load_iris(as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(
        flowers.data, flowers.target, test_size=0.3, random_state=0, stratify=flowers.target
    )
    model = SVC(kernel=kernel, C=penalty).fit(train_x, train_y)
    predicted = model.predict(test_x)

    run.log("Kernel type", kernel)
    run.log("Penalty", penalty)
    run.log("Accuracy", accuracy_score(test_y, predicted))
    print("Confusion matrix on held-out flowers:")
    print(confusion_matrix(test_y, predicted))
    joblib.dump(model, run.outputs / "model.joblib")
