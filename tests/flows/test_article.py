"""The article's client code, with `azureml.core` imports, unchanged, as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fitq import Workspace
from fitq.environments.interpreters import find_interpreters
from fitq.local.stack import Stack

CLIENT = """
from azureml.core import Workspace

ws = Workspace.from_config()

from azureml.core import Environment

myenv = Environment.from_conda_specification(name = "myenv", file_path = "sklearn-env.yml")
myenv.docker.enabled = True

env = Environment.get(workspace=ws, name="AzureML-Tutorial")

from azureml.core import ScriptRunConfig

sklearnconfig = ScriptRunConfig(source_directory='.', script='train_iris.py')
sklearnconfig.run_config.environment = myenv

from azureml.core import Experiment

run = Experiment(ws,'train-sklearn').submit(config=sklearnconfig)
run.wait_for_completion(show_output=True)
print('METRICS', run.get_metrics())
print('FILES', sorted(run.get_file_names()))

from azureml.core import Model
from azureml.core.resource_configuration import ResourceConfiguration

model = run.register_model(model_name='sklearn-iris',
                           model_path='outputs/model.joblib',
                           model_framework=Model.Framework.SCIKITLEARN,
                           model_framework_version='0.19.1',
                           resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=0.5))

web_service = Model.deploy(ws, "scikit-learn-service", [model])
web_service.wait_for_deployment(show_output=True)
print('SCORED', web_service.run('{"data": [[5.1, 3.5, 1.4, 0.2]], "method": "predict"}'))
print('URI', web_service.scoring_uri)

curated = ScriptRunConfig(source_directory='.', script='train_iris.py',
                          arguments=['--kernel', 'rbf', '--penalty', 0.5])
curated.run_config.environment = env
again = Experiment(ws,'train-sklearn').submit(config=curated)
again.wait_for_completion()
print('AGAIN', again.get_metrics()['Kernel type'], again.get_metrics()['Penalty'])
"""

CONDA = """
name: sklearn-training-env
dependencies:
  - python=3.6.2
  - scikit-learn
  - numpy
  - pip:
    - azureml-defaults
"""

# The sample that the article links to: np.str and np.float are gone since numpy 1.24. It is run as it is.
TRAIN = """
import argparse
import os

import joblib
import numpy as np
from sklearn import datasets
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from azureml.core.run import Run
run = Run.get_context()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--kernel', type=str, default='linear', help="Kernel type")
    parser.add_argument('--penalty', type=float, default=1.0, help='Penalty parameter of the error term')
    args = parser.parse_args()
    run.log('Kernel type', np.str(args.kernel))
    run.log('Penalty', np.float(args.penalty))

    iris = datasets.load_iris()
    X, y = iris.data, iris.target
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    svm_model_linear = SVC(kernel=args.kernel, C=args.penalty).fit(X_train, y_train)
    svm_predictions = svm_model_linear.predict(X_test)
    accuracy = svm_model_linear.score(X_test, y_test)
    print('Accuracy of SVM classifier on test set: {:.2f}'.format(accuracy))
    run.log('Accuracy', np.float(accuracy))
    print(confusion_matrix(y_test, svm_predictions))

    os.makedirs('outputs', exist_ok=True)
    joblib.dump(svm_model_linear, 'outputs/model.joblib')


if __name__ == '__main__':
    main()
"""


@pytest.mark.skipif(
    all(i.version >= (3, 10, 0) for i in find_interpreters()),
    reason="needs a Python older than 3.10, as the article does",
)
def test_the_articles_story_runs_unchanged(stack: Stack, ws: Workspace, beside: Path) -> None:
    folder = beside / "article"
    folder.mkdir()
    for name, content in {"client.py": CLIENT, "sklearn-env.yml": CONDA, "train_iris.py": TRAIN}.items():
        (folder / name).write_text(content.lstrip())
    fitq = Path(sys.executable).with_name("fitq")
    shims = subprocess.run([fitq, "azureml-path"], capture_output=True, text=True, check=True).stdout.strip()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FITQ_")}
    done = subprocess.run(
        [sys.executable, "client.py"],
        cwd=folder,
        env={**clean, "PYTHONPATH": shims},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    assert "Streaming user_logs/std_log.txt" in said
    assert "Accuracy of SVM classifier on test set: 0.97" in said
    assert "azureml-defaults is replaced by fitq's own azureml modules" in said
    assert "Python 3.6.2 was asked for; this is 3." in said
    assert "'Kernel type': 'linear'" in said
    assert "'outputs/model.joblib', 'user_logs/std_log.txt'" in said
    assert "SCORED [0]" in said
    assert f"URI {stack.settings.scoring_url}/api/v1/service/scikit-learn-service/score" in said
    assert "AGAIN rbf 0.5" in said

    submit = [fitq, "submit", "train_iris.py", "--environment", "sklearn-env.yml", "--wait"]
    told = subprocess.run(submit, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "Note: Python 3.6.2 was asked for; this is 3." in told.stderr

    record = ws.client.get_model("sklearn-iris")
    assert record.framework_version == "0.19.1"
    assert record.resources == {"cpu": 1.0, "memory_in_gb": 0.5}
    assert any("Declared as scikit-learn 0.19.1, but written by" in w for w in record.warnings)
