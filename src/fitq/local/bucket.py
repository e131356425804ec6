"""The object store of a platform, for what works on it from outside.

It is the one that `FITQ_S3_…` variables name, or the embedded one of a data folder: `folder_bucket.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from fitq.backend import open_objects
from fitq.local.home import Home
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
        objects = open_objects(settings)
        objects.ensure_bucket()
        yield objects, settings.workspace
        return
    # Here, because the images of the services hold no embedded server, and back up as well.
    from fitq.local.folder_bucket import objects_of_folder

    with objects_of_folder(home, environment, settings, alone=alone) as objects:
        yield objects, settings.workspace
