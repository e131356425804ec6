"""What conda calls packages that PyPI calls otherwise, or does not have."""

from __future__ import annotations

#: conda → PyPI, where the names differ.
RENAMED = {
    "dask-core": "dask",
    "importlib_metadata": "importlib-metadata",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "pillow-simd": "pillow",
    "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pytables": "tables",
    "python-graphviz": "graphviz",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "ruamel_yaml": "ruamel-yaml",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
    "tensorflow-mkl": "tensorflow",
}  # fmt: skip

#: Parts of an interpreter or of wheels already: nothing is missing without them.
INCLUDED = frozenset(
    """_libgcc_mutex _openmp_mutex blas bzip2 ca-certificates intel-openmp ld_impl_linux-64 libblas libcblas
    libffi libgcc libgcc-ng libgfortran libgfortran-ng libgfortran5 libgomp liblapack libopenblas libsqlite
    libstdcxx libstdcxx-ng libuuid libzlib llvm-openmp mkl mkl-service mkl_fft mkl_random ncurses nomkl
    openblas openssl pip python_abi readline setuptools sqlite tbb tk tzdata wheel xz zlib""".split()  # noqa: SIM905  read more easily than quoted
)

#: Programs and drivers that no wheel brings.
NOT_ON_PYPI = {
    "cudatoolkit": "There is no GPU support: leave it out, or use wheels that bring CUDA themselves.",
    "cudnn": "There is no GPU support: leave it out, or use wheels that bring CUDA themselves.",
    "cxx-compiler": "Nothing is compiled: only wheels are installed.",
    "ffmpeg": "It is a program: install it on the workers.",
    "gcc": "Nothing is compiled: only wheels are installed.",
    "gcc_linux-64": "Nothing is compiled: only wheels are installed.",
    "git": "It is a program: install it on the workers.",
    "gxx_linux-64": "Nothing is compiled: only wheels are installed.",
    "java-jdk": "It is a program: install it on the workers.",
    "julia": "It is another language: install it on the workers.",
    "nodejs": "It is a program: install it on the workers.",
    "openjdk": "It is a program: install it on the workers.",
    "openmpi": "Runs are one process group each: leave it out.",
    "pytorch-cuda": "There is no GPU support: leave it out.",
    "r-base": "R is not run here.",
    "r-essentials": "R is not run here.",
}
