"""The embedded object store of a data folder, started for its caller if the platform is not running."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping

from fitq.backend import open_objects
from fitq.errors import Conflict, NotFound
from fitq.local.home import Home, Secrets
from fitq.local.objects import EmbeddedObjects, url_of
from fitq.settings import Settings
from fitq.store.objects import S3Objects


@contextlib.contextmanager
def objects_of_folder(
    home: Home, environment: Mapping[str, str], settings: Settings, *, alone: bool
) -> Iterator[S3Objects]:
    """The store of a folder, its bucket made.

    Raises:
        Conflict: the folder is in use, or was used before, and `alone` was asked for.
        NotFound: it holds no store, and one that holds something was asked for.
    """
    if not alone and not (home.folder / "objects").is_dir():
        raise NotFound(
            f"No platform has kept anything in {home.folder}.", hint="Name its data folder: --data DIR."
        )
    kept = home.secrets(environment) if home.folder.exists() else None
    if home.is_held and not alone and kept:
        yield _open(settings, url_of(home.folder / "objects"), kept)
        return
    if alone:
        _check_unused(home)
    home.claim()
    try:
        kept = home.secrets(environment)
        keys = (kept.s3_access_key, kept.s3_secret_key)
        with EmbeddedObjects(home.folder / "objects", *keys, log=home.logs / "seaweedfs.log") as server:
            yield _open(settings, server.url, kept)
    finally:
        home.release()


def _check_unused(home: Home) -> None:
    if (home.folder / "redis").exists():
        raise Conflict(
            f"{home.folder} has been used: its Redis would tell another story than the restored bucket.",
            hint="Restore into a new folder: fitq restore FILE --data NEW_FOLDER",
        )


def _open(settings: Settings, url: str, kept: Secrets) -> S3Objects:
    told = dataclasses.replace(
        settings, s3_url=url, s3_access_key=kept.s3_access_key, s3_secret_key=kept.s3_secret_key
    )
    objects = open_objects(told)
    objects.ensure_bucket()
    return objects
