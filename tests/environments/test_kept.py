"""What is kept of an environment is read as it was kept, or not at all."""

from __future__ import annotations

import msgspec
import pytest

from fitq.environments.kept import Kept, KeptEnvironment
from fitq.records import now
from fitq.store.checked import Altered
from fitq.store.keys import ObjectKeys
from fitq.store.memory import MemoryObjects

KEYS = ObjectKeys("default")
BUILT = KeptEnvironment(
    hash="ab" * 32, created_at=now(), python="3.12.1", tag="cpython-3.12", platform="linux-x86_64",
    requirements=["joblib"], packages={"joblib": "1.4.2"}, locked="joblib==1.4.2 --hash=sha256:00\n",
)  # fmt: skip


def test_packages_that_were_altered_on_their_way_are_not_installed() -> None:
    objects = MemoryObjects()
    kept = Kept(objects, KEYS)
    kept.keep(BUILT, "log")
    assert kept.get(BUILT.hash).locked == BUILT.locked
    key = KEYS.environment(BUILT.hash)
    right = objects.get(key) or b""
    for wrong in (right.replace(b"==1.4.2", b"==1.4.3"), right[:-1]):
        objects.put(key, wrong)
        with pytest.raises(Altered, match=BUILT.hash):
            kept.find(BUILT.hash)


def test_packages_kept_before_their_hash_was_are_taken() -> None:
    objects = MemoryObjects()
    objects.put(KEYS.environment(BUILT.hash), msgspec.json.encode(BUILT))
    assert Kept(objects, KEYS).get(BUILT.hash) == BUILT
