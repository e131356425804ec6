"""Environments: from a list of packages, however it was written, to a folder with an interpreter.

    reading   whatever form it came in  → EnvironmentSpec, or what is wrong with it
    interpreters  the Pythons that are here, and the nearest to the one asked for
    resolving exact packages with hashes, once for ever: `environments/<hash>/` in the object store
    building  these packages in a folder of this machine, once, by `uv`
    opening   `Environments.open(hash)` → EnvironmentFolder, whose `python` runs what needs those packages

A hash names a list of packages for one Python on one platform. The same hash is the same packages,
whoever builds it and whenever.
"""
