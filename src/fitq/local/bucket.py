"""The object store of a platform, for what works on it from outside.

It is the one that `FITQ_S3_…` variables name, or the embedded one of a data folder, which is started for it
if the platform is not running.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

from fitq.backend import open_objects
from fitq.errors import Conflict
from fitq.local.home import Home
from fitq.local.objects import EmbeddedObjects, url_of
from fitq.settings import Settings, variable
from fitq.store.objects import S3Objects


@contextlib.contextmanager
def bucket_of(home: Home, environment: Mapping[str, str], *, alone: bool) -> Iterator[tuple[S3Objects, str]]:
    """The store and the workspace in it.

    Args:
        home: used if no variable names a store.
        alone: nothing else may use the store meanwhile, as far as can be seen.

    Raises:
        Conflict: the platform of the folder is running, or its Redis would tell another story.
    """
    settings = Settings.from_environment(environment)
    if environment.get(variable("s3_url")):
        yield _open(settings), settings.workspace
        return
    kept = home.secrets(environment) if home.folder.exists() else None
    if home.is_held and not alone and kept:
        url = url_of(home.folder / "objects")
        told = dataclasses.replace(
            settings, s3_url=url, s3_access_key=kept.s3_access_key, s3_secret_key=kept.s3_secret_key
        )
        yield _open(told), settings.workspace
        return
    if alone:
        _check_alone(home)
    home.claim()
    try:
        kept = home.secrets(environment)
        keys = (kept.s3_access_key, kept.s3_secret_key)
        with EmbeddedObjects(home.folder / "objects", *keys, log=home.logs / "seaweedfs.log") as server:
            told = dataclasses.replace(
                settings, s3_url=server.url, s3_access_key=keys[0], s3_secret_key=keys[1]
            )
            yield _open(told), settings.workspace
    finally:
        home.release()


def _check_alone(home: Home) -> None:
    if (home.folder / "redis").exists():
        raise Conflict(
            f"{home.folder} has been used: its Redis would tell another story than the restored bucket.",
            hint="Restore into a new folder: fitq restore FILE --data NEW_FOLDER",
        )


def _open(settings: Settings) -> S3Objects:
    objects = open_objects(settings)
    objects.ensure_bucket()
    return objects
