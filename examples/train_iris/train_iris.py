"""Train a support vector machine on the iris flowers: an ordinary script that logs what it finds."""

import argparse

import joblib
from azureml.core.run import Run
from sklearn import datasets
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernel", default="linear", help="Kernel type to be used in the algorithm")
    parser.add_argument("--penalty", type=float, default=1.0, help="Penalty parameter of the error term")
    args = parser.parse_args()

    run = Run.get_context()
    run.log("Kernel type", args.kernel)
    run.log("Penalty", args.penalty)

    iris = datasets.load_iris()
    x_train, x_test, y_train, y_test = train_test_split(iris.data, iris.target, random_state=0)

    model = SVC(kernel=args.kernel, C=args.penalty).fit(x_train, y_train)
    accuracy = model.score(x_test, y_test)
    print(f"Accuracy of the support vector machine on the test set: {accuracy:.2f}")
    run.log("Accuracy", accuracy)
    print(confusion_matrix(y_test, model.predict(x_test)))

    joblib.dump(model, "outputs/model.joblib")


if __name__ == "__main__":
    main()
