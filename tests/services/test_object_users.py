"""Each program's user of the object store may do what that program does, and no more: on a real server."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
from collections.abc import Callable, Iterator

import pytest

from fitq.errors import Unavailable
from fitq.records import RunRecord, RunStatus, now
from fitq.store.keys import ObjectKeys
from fitq.store.objects import S3Objects
from tests.services.compose_file import REQUIRED, read
from tests.services.object_users import SCRIPT, Noted, ObjectsWithUsers, run_script

ROOT = ("root-user", "r" * 32)
KEYS = ObjectKeys("default")
RUN = RunRecord(
    id="iris-1", experiment="e", status=RunStatus.RUNNING, created_at=now(), pool="default", attempt=1
)
#: key → what each may do with it: get, put, delete; of a prefix: list. A key that is new in `ObjectKeys`
#: needs a line here, and perhaps one in infra/minio/users.sh.
CONTROL, WORKER, SCORING = "fitq-control", "fitq-worker", "fitq-scoring"
BACKUP = "fitq-backup"  # reads everything
RIGHTS: dict[str, dict[str, str]] = {
    "format": {CONTROL: "gp", WORKER: "gp", SCORING: "g"},
    "snapshot": {CONTROL: "gp", WORKER: "g", SCORING: "g"},
    "snapshot_files": {CONTROL: "gp", WORKER: "g", SCORING: "g"},
    "open_runs": {CONTROL: "l"},
    "open_run": {CONTROL: "gpd", WORKER: "d"},
    "runs": {CONTROL: "l"},
    "attempts": {CONTROL: "l"},
    "attempt_file": {CONTROL: "gpd", WORKER: "gp"},
    "final": {CONTROL: "gp", WORKER: "gp"},
    "models": {CONTROL: "l", WORKER: "l", SCORING: "l"},
    "model_versions": {CONTROL: "l", WORKER: "l", SCORING: "l"},
    "model_version": {CONTROL: "gp", WORKER: "gp", SCORING: "g"},
    "model_tombstone": {CONTROL: "gp", WORKER: "gp", SCORING: "g"},
    "model_about": {CONTROL: "gpd", WORKER: "g", SCORING: "g"},
    "model_file": {CONTROL: "gpd", WORKER: "gp", SCORING: "g"},
    "model_golden": {CONTROL: "gpd", WORKER: "gp", SCORING: "g"},
    "changes": {CONTROL: "l", WORKER: "l", SCORING: "l"},
    "changes_of": {CONTROL: "l", WORKER: "l", SCORING: "l"},
    "change": {CONTROL: "gpd", WORKER: "pd"},
    "data": {CONTROL: "l", WORKER: "l"},
    "data_versions": {CONTROL: "l", WORKER: "l"},
    "data_version": {CONTROL: "gp", WORKER: "g"},
    "data_withdrawn": {CONTROL: "gp", WORKER: "g"},
    "data_content": {CONTROL: "gp", WORKER: "g"},
    "data_part": {CONTROL: "gp", WORKER: "g"},
    "approval": {CONTROL: "gp", WORKER: "g"},
    "made": {CONTROL: "gp", WORKER: "p"},
    "endpoints": {CONTROL: "l", SCORING: "l"},
    "endpoint": {CONTROL: "gpd", SCORING: "g"},
    "endpoint_secret": {CONTROL: "gp", SCORING: "g"},
    "published_functions": {CONTROL: "l"},
    "function": {CONTROL: "gpd"},
    "pools": {CONTROL: "l"},
    "pool": {CONTROL: "gpd"},
    "applied": {CONTROL: "l"},
    "applied_thing": {CONTROL: "gpd"},
    "environments": {CONTROL: "l"},
    "environment": {CONTROL: "gp", WORKER: "gp", SCORING: "g"},
    "environment_log": {CONTROL: "gp", WORKER: "gp", SCORING: "g"},
    "environment_names": {CONTROL: "l"},
    "environment_versions": {CONTROL: "l"},
    "environment_version": {CONTROL: "gp"},
    "environment_withdrawn": {CONTROL: "gp"},
}


@pytest.fixture(scope="module")
def noted(tmp_path_factory: pytest.TempPathFactory) -> Noted:
    variables = {name: f"{name}-of-32-characters-or-more" for name in REQUIRED}
    environment = read(variables)["services"]["minio-users"]["environment"]
    return run_script(environment, tmp_path_factory.mktemp("mc"))


@pytest.fixture(scope="module")
def stores(noted: Noted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, S3Objects]]:
    with ObjectsWithUsers(tmp_path_factory.mktemp("policed") / "objects", ROOT, noted) as server:
        users = {"root": ROOT, **{name: (name, key) for name, key in noted.keys.items()}}
        stores = {name: S3Objects(server.url, *user, "fitq") for name, user in users.items()}
        stores["root"].ensure_bucket()
        yield stores


def key_of(method: str) -> str:
    """A key of the kind that this method makes."""
    samples = {"run": RUN, "version": 1, "period": 2}
    make = getattr(KEYS, method)
    return str(make(**{name: samples.get(name, f"{name}-x") for name in inspect.signature(make).parameters}))


def may(do: Callable[..., object], *words: object) -> bool:
    """Whether it is not refused; anything else that is wrong is raised."""
    try:
        done = do(*words)
        list(done) if isinstance(done, Iterator) else None
    except Unavailable as exc:
        if not re.search("AccessDenied|answers 403", exc.message):
            raise
        return False
    return True


def rights_of(mine: S3Objects, root: S3Objects, key: str) -> str:
    """What one user may do with a key; root puts there what is needed."""
    if key.endswith("/"):
        return "l" if may(mine.list, key) and may(mine.list_folders, key) else ""
    root.delete(key)
    absent = may(mine.get, key)
    root.put(key, b"1")
    can = {
        "g": absent and may(mine.get, key) and may(mine.size, key) and may(mine.get_range, key, 0, 1),
        "p": may(mine.put_if_absent, key, b"2") and may(mine.put, key, b"2"),
        "d": may(mine.delete, key),
    }
    return "".join(right for right, is_mine in can.items() if is_mine)


def test_every_key_of_the_bucket_says_who_may_do_what() -> None:
    made = {name for name, _ in inspect.getmembers(ObjectKeys, inspect.isfunction) if name[0] != "_"}
    assert set(RIGHTS) == made


@pytest.mark.parametrize("user", [CONTROL, WORKER, SCORING])
def test_a_user_may_do_what_its_program_does_and_no_more(stores: dict[str, S3Objects], user: str) -> None:
    found = {method: rights_of(stores[user], stores["root"], key_of(method)) for method in RIGHTS}
    assert found == {method: rights.get(user, "") for method, rights in RIGHTS.items()}


def test_whoever_backs_up_reads_everything_and_writes_nothing(stores: dict[str, S3Objects]) -> None:
    found = {method: rights_of(stores[BACKUP], stores["root"], key_of(method)) for method in RIGHTS}
    assert found == {method: "l" if key_of(method).endswith("/") else "g" for method in RIGHTS}


@pytest.mark.parametrize("user", [CONTROL, WORKER, SCORING, BACKUP])
def test_nobody_sees_another_workspace_or_the_whole_bucket(stores: dict[str, S3Objects], user: str) -> None:
    stores["root"].put("other/format.json", b"")
    mine = stores[user]
    assert not may(mine.get, "other/format.json")
    assert not may(mine.put, "other/format.json", b"")
    assert not may(mine.list, "other/")
    assert not may(mine.list, "")
    mine.ensure_bucket()  # somebody made it
    mine.ping(KEYS.format())


def test_the_one_shot_makes_a_user_under_each_policy_and_tells_no_key_by_an_argument(noted: Noted) -> None:
    assert noted.calls[0] == "mb --ignore-existing minio/fitq"
    for user in (CONTROL, WORKER, SCORING, BACKUP):
        added = noted.calls.index(f"admin user add minio {user}")
        assert noted.calls[added + 1].startswith(f"admin policy create minio {user} /")
        assert noted.calls[added + 2] == f"admin policy attach minio {user} --user {user}"
    assert len(set(noted.keys.values())) == 4
    assert not [key for key in noted.keys.values() if any(key in call for call in noted.calls)]


@pytest.mark.parametrize("user", [CONTROL, WORKER, SCORING, BACKUP])
def test_the_same_policies_can_be_had_for_an_s3_with_users_of_its_own(noted: Noted, user: str) -> None:
    done = _print_policy(user)
    assert done.returncode == 0, done.stderr
    amazon = json.loads(done.stdout)
    listing = amazon["Statement"][0]
    listing["Condition"]["StringLike"] = listing["Condition"].pop("StringLikeIfExists")
    assert amazon == noted.policies[user]


def test_a_policy_of_nobody_is_refused_with_those_that_there_are() -> None:
    done = _print_policy("fitq-nobody")
    assert (done.returncode, done.stdout) == (2, "")
    assert "fitq-control, fitq-worker, fitq-scoring, fitq-backup" in done.stderr


def _print_policy(user: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", str(SCRIPT), "policy", user]
    names = {"BUCKET": "fitq", "WORKSPACE": "default", "PATH": "/usr/bin:/bin"}
    return subprocess.run(words, env=names, capture_output=True, text=True, check=False)
