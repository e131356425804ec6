# ruff: noqa: E501  the tables read best with one specification per line
"""Thirty environments as people write them: what each comes to, or what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest

from fitq.environments.reading import read_spec
from fitq.errors import InvalidRequest
from fitq.script_header import header_of

ARTICLE = {
    "name": "sklearn-training-env",
    "dependencies": ["python=3.6.2", "scikit-learn", "numpy", {"pip": ["azureml-defaults"]}],
}
SCRIPT = """#!/usr/bin/env python
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "scikit-learn==1.5.2",
#   "Pandas<3",
# ]
#
# [tool.uv]
# exclude-newer = "2024-10-01T00:00:00Z"
# ///
import sklearn
"""
PYPROJECT = """
[project]
name = "training"
requires-python = ">=3.9,<3.12"
dependencies = ["numpy>=1.26,<2", "scikit_learn[tests] == 1.5.2"]
"""


def conda(*dependencies: Any, **more: Any) -> dict[str, Any]:
    return {"conda": {"dependencies": list(dependencies), **more}}


#: What was sent → requirements, Python, and words of the notes.
GOOD: dict[str, tuple[dict[str, Any], list[str], str, str]] = {
    "the article's own": ({"conda": ARTICLE}, ["numpy", "scikit-learn"], "==3.6.2.*", "azureml-defaults is replaced"),
    "conda's one =": (conda("python=3.8", "numpy=1.19"), ["numpy==1.19.*"], "==3.8.*", ""),
    "conda's ==": (conda("numpy==1.19.5"), ["numpy==1.19.5"], "", ""),
    "conda's star": (conda("numpy=1.19.*", "scipy 1.5*"), ["numpy==1.19.*", "scipy==1.5.*"], "", ""),
    "a conda range": (conda("python>=3.8,<3.10", "numpy >=1.19, <2"), ["numpy<2,>=1.19"], "<3.10,>=3.8", ""),
    "an exported build": (conda("numpy=1.19.5=py36h2aa4a07_0"), ["numpy==1.19.5"], "", ""),
    "a conda channel": (conda("conda-forge::lightgbm=3.2", channels=["conda-forge"]), ["lightgbm==3.2.*"], "", ""),
    "conda's own names": (conda("pytorch", "py-xgboost"), ["torch", "xgboost"], "", "pytorch is torch on PyPI"),
    "parts of an interpreter": (conda("mkl", "openssl=1.1.1k=h27cfd23_0", "pip"), [], "", "mkl was left out"),
    "an empty pip section": (conda("numpy", {"pip": None}), ["numpy"], "", ""),
    "requirements": ({"pip": ["NumPy == 1.23.5", "scikit_learn==1.2.2"]}, ["numpy==1.23.5", "scikit-learn==1.2.2"], "", ""),
    "the same twice": ({"pip": ["numpy", "numpy", "Numpy"]}, ["numpy"], "", ""),
    "extras and markers": (
        {"pip": ["pandas[excel,plot]>=2; python_version < '3.13'"]},
        ['pandas[excel,plot]>=2; python_version < "3.13"'],
        "",
        "",
    ),
    "a Python beside a list": ({"pip": ["numpy"], "python": "3.9"}, ["numpy"], "==3.9.*", ""),
    "an SDK that is ours": ({"pip": ["azureml-sdk", "azureml-core==1.9.0"]}, [], "", "azureml-core is replaced"),
    "another of Azure's": ({"pip": ["azureml-mlflow"]}, [], "", "azureml-mlflow was left out"),
    "a script's header": ({"script": SCRIPT}, ["pandas<3", "scikit-learn==1.5.2"], ">=3.11", ""),
    "a pyproject": (
        {"pyproject": PYPROJECT}, ["numpy<2,>=1.26", "scikit-learn[tests]==1.5.2"], "<3.12,>=3.9", ""),
    "nothing but a name": ({"name": "mine"}, [], "", ""),
}  # fmt: skip

#: What was sent → where it is wrong, and words of the sentence or of the way out.
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "two forms": ({"pip": [], "conda": {}}, "environment", "one of conda, pip"),
    "a misspelt form": ({"conad": {}}, "environment.conad", "Did you mean 'conda'?"),
    "conda without dependencies": ({"conda": {"name": "x"}}, "environment.conda", "no list of dependencies"),
    "a dependency that is a number": (conda(3), "environment.conda.dependencies[0]", "not a dependency"),
    "a driver": (conda("cudatoolkit=10.2"), "environment.conda.dependencies[0]", "no GPU support"),
    "another language": (conda("numpy", "r-base"), "environment.conda.dependencies[1]", "R is not run here"),
    "conda's or": (conda("numpy=1.19|1.20"), "environment.conda.dependencies[0]", "numpy>=1.26,<2"),
    "conda's = for pip": ({"pip": ["numpy=1.19"]}, "environment.pip[0]", "pip writes numpy==1.19"),
    "an option for pip": (
        conda({"pip": ["--extra-index-url https://example.org"]}),
        "environment.conda.dependencies[0].pip[0]",
        "named packages of an index",
    ),
    "a folder": ({"pip": ["-e ."]}, "environment.pip[0]", "go with the snapshot"),
    "a repository": ({"pip": ["git+https://example.org/x.git"]}, "environment.pip[0]", "named packages"),
    "an address": ({"pip": ["x @ https://example.org/x.whl"]}, "environment.pip[0]", "named packages"),
    "no version": ({"pip": ["numpy==latest"]}, "environment.pip[0]", "is not a requirement"),
    "a Python that is none": ({"pip": [], "python": "three"}, "environment.python", "Write it like 3.9"),
    "two Pythons": ({**conda("python=3.8"), "python": "3.9"}, "environment.python", "Two places name a Python"),
    "strict as text": ({"pip": [], "strict": "yes"}, "environment.strict", "true or false"),
    "a date that is none": ({"pip": [], "exclude_newer": "last year"}, "environment.exclude_newer", "2022-01-10"),
    "a script without a header": ({"script": "import numpy"}, "environment.script", "no header"),
    "a header that is not TOML": ({"script": "# /// script\n# x = \n# ///\n"}, "environment.script", "not TOML"),
    "a pyproject without a project": ({"pyproject": "[tool.x]"}, "environment.pyproject", "[project]"),
}  # fmt: skip


@pytest.mark.parametrize("what", GOOD)
def test_it_is_understood(what: str) -> None:
    given, requirements, python, noted = GOOD[what]
    spec = read_spec(given)
    assert (spec.requirements, spec.python) == (requirements, python)
    assert noted in " ".join(spec.notes)


@pytest.mark.parametrize("what", BAD)
def test_it_is_refused_with_the_place_and_the_way_out(what: str) -> None:
    given, at, said = BAD[what]
    with pytest.raises(InvalidRequest) as caught:
        read_spec(given)
    assert caught.value.data["at"] == at
    assert said in str(caught.value)


def test_the_same_packages_have_one_hash_however_they_are_written() -> None:
    written = [
        {"pip": ["scikit-learn==1.2.2", "numpy==1.23.5"]},
        {"pip": ["NumPy == 1.23.5", "scikit_learn==1.2.2", "azureml-defaults"]},
        conda("numpy==1.23.5", {"pip": ["scikit-learn==1.2.2"]}),
        {"pyproject": "[project]\ndependencies = ['numpy==1.23.5', 'scikit-learn==1.2.2']"},
    ]
    hashes = {read_spec(given).hash_for("cpython-3.11", "linux-x86_64") for given in written}
    assert len(hashes) == 1


def test_another_python_or_platform_or_date_is_another_hash() -> None:
    spec = read_spec({"pip": ["numpy"]})
    dated = read_spec({"pip": ["numpy"], "exclude_newer": "2022-01-10"})
    hashes = {
        spec.hash_for("cpython-3.11", "linux-x86_64"),
        spec.hash_for("cpython-3.10", "linux-x86_64"),
        spec.hash_for("cpython-3.11", "linux-aarch64"),
        dated.hash_for("cpython-3.11", "linux-x86_64"),
    }
    assert len(hashes) == 4


def test_a_headers_date_counts() -> None:
    assert read_spec({"script": SCRIPT}).exclude_newer == "2024-10-01T00:00:00Z"


def test_a_script_with_windows_line_ends_has_a_header() -> None:
    assert header_of(SCRIPT.replace("\n", "\r\n")) is not None
    assert header_of("print('# /// script')") is None
