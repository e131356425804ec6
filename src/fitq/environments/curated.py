"""Environments with a name of their own, pinned to packages of their time.

Names that start with AzureML are Azure's; what they hold here is the part of it that training scripts use.
`tests/environments/test_curated.py` builds one of them in every run of the tests, and all when asked to.
"""

from __future__ import annotations

from typing import NamedTuple

from fitq.environments.spec import EnvironmentSpec


class Curated(NamedTuple):
    """One of them."""

    name: str
    python: str  #: PEP 440; no other will do, because there are no wheels for others
    requirements: tuple[str, ...]
    exclude_newer: str  #: what these packages need themselves is of that time too
    description: str
    also: tuple[str, ...] = ()  #: what other names start with that mean this one

    @property
    def spec(self) -> EnvironmentSpec:
        """What is built."""
        return EnvironmentSpec(
            requirements=sorted(self.requirements),
            python=self.python,
            strict=True,
            exclude_newer=self.exclude_newer,
        )


_SKLEARN_1_2 = (
    "numpy==1.23.5", "scipy==1.10.1", "scikit-learn==1.2.2", "joblib==1.2.0", "pandas==1.5.3",
)  # fmt: skip

CURATED = (
    Curated(
        "AzureML-Tutorial",
        "<3.12,>=3.8",
        (*_SKLEARN_1_2, "matplotlib==3.7.1"),
        "2023-05-01",
        "Azure's tutorials of 2020: np.float and np.str still exist.",
    ),
    Curated(
        "AzureML-sklearn-0.24",
        "<3.10,>=3.6",
        ("numpy==1.19.5", "scipy==1.5.4", "scikit-learn==0.24.2", "joblib==1.0.1", "pandas==1.1.5"),
        "2021-09-01",
        "scikit-learn 0.24, as in Azure's images of 2021.",
        ("azureml-sklearn-0.24",),
    ),
    Curated(
        "AzureML-sklearn-1.0",
        "<3.11,>=3.7",
        ("numpy==1.21.6", "scipy==1.7.3", "scikit-learn==1.0.2", "joblib==1.1.0", "pandas==1.3.5"),
        "2022-06-01",
        "scikit-learn 1.0, as in Azure's images of 2022.",
        ("azureml-sklearn-1.0",),
    ),
    Curated(
        "azureml-sklearn-1.5",
        "<3.13,>=3.9",
        ("numpy==1.26.4", "scipy==1.13.1", "scikit-learn==1.5.2", "joblib==1.4.2", "pandas==2.2.3"),
        "2024-12-01",
        "scikit-learn 1.5, as in Azure's images of 2024.",
        ("azureml-sklearn-1.5", "sklearn-1.5"),
    ),
    Curated(
        "fitq-sklearn-1.2",
        "<3.12,>=3.8",
        _SKLEARN_1_2,
        "2023-05-01",
        "scikit-learn 1.2 with the last numpy that has np.float, np.str and np.bool.",
    ),
    Curated(
        "fitq-sklearn-1.4",
        "<3.13,>=3.9",
        ("numpy==1.26.4", "scipy==1.12.0", "scikit-learn==1.4.2", "joblib==1.4.0", "pandas==2.2.2"),
        "2024-05-15",
        "scikit-learn 1.4, on numpy 1.",
    ),
    Curated(
        "fitq-sklearn-1.6",
        "<3.14,>=3.10",
        ("numpy==2.2.1", "scipy==1.15.0", "scikit-learn==1.6.1", "joblib==1.4.2", "pandas==2.2.3"),
        "2025-02-01",
        "scikit-learn 1.6, on numpy 2.",
    ),
    Curated(
        "fitq-sklearn-1.7",
        "<3.14,>=3.10",
        ("numpy==2.3.3; python_version >= '3.11'", "numpy==2.2.6; python_version < '3.11'",
         "scipy==1.15.3", "scikit-learn==1.7.2", "joblib==1.5.2", "pandas==2.3.3"),
        "2025-11-01",
        "scikit-learn 1.7, on numpy 2.",
    ),
)  # fmt: skip


def find_curated(name: str) -> Curated | None:
    """What a name means, capital letters or not; also `AzureML-sklearn-0.24-ubuntu18.04-py37-cpu`."""
    lower = name.lower()
    exact = next((c for c in CURATED if c.name.lower() == lower), None)
    return exact or next((c for c in CURATED if any(_means(lower, start) for start in c.also)), None)


def _means(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}-")
