"""Names of packages that training scripts ask for, to recognise a misspelt one.

It is no list of what is allowed.
"""

from __future__ import annotations

KNOWN = frozenset(
    """
    accelerate aiohttp altair arviz astropy autogluon bayesian-optimization beautifulsoup4 black bokeh
    boto3 boruta botorch catboost category-encoders causalml click cloudpickle cmdstanpy contextily cvxpy
    cython dask datasets dataclasses deap diffusers dill duckdb econml eli5 evidently fairlearn fastapi
    fastparquet feature-engine featuretools flask flaml folium fsspec gensim geopandas gplearn graphviz
    great-expectations h5py hdbscan hmmlearn holidays httpx huggingface-hub hyperopt imbalanced-learn
    implicit interpret ipython jax jinja2 joblib jsonschema keras kneed lazypredict lifelines lightfm
    lightgbm lightning lime llvmlite lxml m2cgen mapie matplotlib mlflow mlxtend msgpack mypy networkx
    neuralprophet nltk numba numexpr numpy onnx onnxmltools onnxruntime opencv-python
    opencv-python-headless openpyxl optuna orjson ortools pandas pandera patsy pgmpy pillow pingouin
    plotly pmdarima polars prophet psutil psycopg2-binary pyarrow pycaret pydantic pygam pymc pymongo
    pyod pyspark pytest python-dateutil pytorch-lightning pytz pywavelets pyyaml ray redis requests rich
    s3fs sacred scikit-image scikit-learn scikit-learn-extra scikit-learn-intelex scikit-lego
    scikit-optimize scikit-plot scikit-surprise scipy seaborn sentence-transformers sentencepiece shap
    shapely skl2onnx skops skorch sktime spacy sqlalchemy stan statsforecast statsmodels stumpy sympy
    tables tabulate tensorboard tensorflow textblob threadpoolctl tokenizers torch torchaudio torchvision
    tpot tqdm transformers tsfresh tslearn typer umap-learn uvicorn vaex wandb wordcloud xarray xgboost
    xlrd xlsxwriter yellowbrick zarr
    """.split()  # noqa: SIM905  read more easily than quoted
)
