"""Read handwritten digits with a random forest."""

import joblib
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from fitq import RunContext, function


@function(pool="default")
def digits(run: RunContext, trees: int = 100, seed: int = 0) -> None:
    """Grow the forest ten trees at a time and log the accuracy as it grows."""
    images = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        images.data, images.target, test_size=0.3, random_state=seed, stratify=images.target
    )
    forest = RandomForestClassifier(n_estimators=0, warm_start=True, random_state=seed)
    for size in range(10, max(trees, 10) + 1, 10):
        forest.set_params(n_estimators=size).fit(train_x, train_y)
        run.log("Accuracy", forest.score(test_x, test_y), step=size)
    print(f"{forest.n_estimators} trees")
    joblib.dump(forest, run.outputs / "model.joblib")
