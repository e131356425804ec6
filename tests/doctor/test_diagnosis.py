"""Each script fails for real, in a real process; the doctor has to say why."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fitq.isolation.ladder import UNCONFINED
from fitq.records import FunctionRecord, Resources, Usage, Versions
from fitq.worker.doctor import diagnosis, order
from fitq.worker.doctor.families import start
from fitq.worker.folder import RunFolder
from fitq.worker.std_log import StdLog
from fitq.worker.watch import Ended
from tests.doctor.conftest import Clinic, a_run
from tests.doctor.scripts import FAILURES, Script


@pytest.mark.parametrize("script", FAILURES, ids=lambda s: s.name)
def test_the_doctor_says_why(clinic: Clinic, script: Script) -> None:
    failure = clinic.with_run(**script.facts).diagnose(
        script.code, *script.arguments, files=script.files, command=script.command
    )
    assert failure.kind == script.kind
    assert script.message in failure.message
    assert script.hint in failure.hint
    assert failure.where == script.where
    assert script.line in [
        line if script.line.startswith(" ") else line.strip() for line in failure.lines
    ] + [""]
    assert not any("/work" in line for line in failure.lines[:2]), (
        "the worker's own folders are nobody's business"
    )


#: One of each way to end; the others differ in their text only.
BOTH_WAYS = ("an exception", "a module with another package name", "a syntax error", "a segmentation fault",
             "arguments that argparse refuses", "an exit with a sentence", "a lambda in a file",
             "numpy's old names")  # fmt: skip


@pytest.mark.parametrize("script", [s for s in FAILURES if s.name in BOTH_WAYS], ids=lambda s: s.name)
def test_a_fresh_interpreter_and_a_fork_get_the_same_diagnosis(
    clinic: Clinic, cold_clinic: Clinic, script: Script
) -> None:
    cold, warm = (
        c.diagnose(script.code, *script.arguments, files=script.files) for c in (cold_clinic, clinic)
    )
    assert _without_addresses(cold) == _without_addresses(warm)
    assert cold.kind == script.kind


def _without_addresses(failure: object) -> str:
    import re

    return re.sub(r"0x[0-9a-f]+", "0x", repr(failure))


def test_every_kind_of_a_script_is_shown_by_one() -> None:
    of_scripts = {kind for f in order.ALL if f is not start for kind in f.KINDS}
    shown = {script.kind for script in FAILURES}
    assert of_scripts - shown == {"canceled", "timed_out"}, "those are shown below"


def test_a_kind_means_the_same_wherever_it_is_found() -> None:
    for family in order.ALL:
        for kind, sentence in family.KINDS.items():
            assert diagnosis.KINDS[kind] == sentence


def test_what_the_platform_ended_is_said_with_its_limit() -> None:
    run = a_run(
        timeout_seconds=60.0,
        resources=Resources(memory_bytes=200 << 20),
        usage=Usage(peak_memory_bytes=300 << 20),
    )
    said = {
        e: diagnosis.examine(diagnosis.Case(run=run, exit_code=-15, ended=e, lines=("epoch 3",)))
        for e in Ended
    }
    assert (said[Ended.CANCELED].kind, said[Ended.CANCELED].exit_code) == ("canceled", -15)
    assert said[Ended.TIMED_OUT].message == "It ran longer than timeout_seconds (60 s)."
    assert "(--timeout 120s)" in said[Ended.TIMED_OUT].hint
    assert said[Ended.TIMED_OUT].lines == ["epoch 3"]
    assert said[Ended.OUT_OF_MEMORY].message == "It used 300.0 MiB of memory; 200.0 MiB were granted."


def test_a_training_function_is_shown_where_its_own_file_failed(clinic: Clinic, tmp_path: Path) -> None:
    functions = tmp_path / "functions"
    functions.mkdir()
    (functions / "fit.py").write_text(
        "from fitq import function\n\n@function(pool='default')\n"
        "def fit(run, rows: int = 3):\n    return {}[rows]\n"
    )
    run = a_run(function="fit", script=None, parameters={"rows": 5})
    place = RunFolder(tmp_path / "work", run)
    (place.path / "tmp").mkdir(parents=True)
    (place.code / "outputs").mkdir(parents=True)
    program = place.program(functions, FunctionRecord(name="fit", pool="default", file="fit.py"))
    log = StdLog(place.std_log, max_bytes=100_000)
    process = clinic.starter.start(program, cwd=place.code, environment=place.environment(), plan=UNCONFINED)
    clinic.end_of(process, log)
    case = diagnosis.Case(run=run, exit_code=1, lines=tuple(log.tail()), code=place.code, functions=functions)
    failure = diagnosis.examine(case)
    assert (failure.message, failure.where) == ("KeyError: 5", "fit.py:5")
    assert failure.lines == ['  File "fit.py", line 5, in fit', "    return {}[rows]", "KeyError: 5"]


@pytest.mark.parametrize(
    ("code", "packages", "said"),
    [
        ("from sklearn.metrics import root_mean_squared_errors", {"scikit-learn": "1.2.2"}, None),
        ("raise ImportError(\"cannot import name 'TargetEncoder' from 'sklearn.preprocessing' (x.py)\")",
         {"scikit-learn": "1.2.2"}, "sklearn.preprocessing.TargetEncoder came with scikit-learn 1.3"),
        ("raise TypeError(\"OneHotEncoder.__init__() got an unexpected keyword argument 'sparse_output'\")",
         {"scikit-learn": "1.1.3"}, "OneHotEncoder(sparse_output=) came with scikit-learn 1.2"),
        ("raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')",
         {"numpy": "2.0.0"}, "does not fit what it was loaded with"),
    ],
)  # fmt: skip
def test_a_script_that_is_newer_than_its_packages(
    clinic: Clinic, code: str, packages: dict[str, str], said: str | None
) -> None:
    failure = clinic.with_run(versions=Versions(python="3.11.7", packages=packages)).diagnose(code)
    assert failure.kind == ("version_mismatch" if said else "import_error")
    assert (said or "") in failure.message
    if said:
        assert failure.versions == {"python": "3.11.7", **packages}


def test_what_was_not_removed_yet_is_no_removed_api(clinic: Clinic) -> None:
    old = Versions(python="3.8.1", packages={"numpy": "1.19.5"})
    code = "raise AttributeError(\"module 'numpy' has no attribute 'float'\")"
    assert clinic.with_run(versions=old).diagnose(code).kind == "user_error"
    unknown = clinic.with_run(versions=Versions()).diagnose(code)
    assert (unknown.kind, unknown.message) == ("removed_api", "np.float is gone since numpy 1.24.")


def test_a_second_attempt_is_not_judged_by_the_first(tmp_path: Path) -> None:
    before = (
        b'Traceback (most recent call last):\n  File "train.py", line 1, in <module>\nValueError: first\n'
    )
    log = StdLog(tmp_path / "log", max_bytes=10_000, before=before)
    log.note("attempt 2")
    log.feed(b"too few rows\n")
    log.close()
    failure = diagnosis.examine(diagnosis.Case(run=a_run(), exit_code=1, lines=tuple(log.tail())))
    assert (failure.kind, failure.lines) == ("exited", ["too few rows"])


def test_the_end_of_a_log_that_was_not_kept_is_still_read(tmp_path: Path) -> None:
    log = StdLog(tmp_path / "log", max_bytes=10_000)
    log.feed(b"noise\n" * 5_000)
    log.feed(
        b'Traceback (most recent call last):\n  File "train.py", line 9, in <module>\nValueError: last\n'
    )
    log.close()
    assert b"ValueError" not in (tmp_path / "log").read_bytes()
    failure = diagnosis.examine(diagnosis.Case(run=a_run(), exit_code=1, lines=tuple(log.tail())))
    assert (failure.message, failure.where) == ("ValueError: last", "train.py:9")


def test_a_failure_travels_as_json() -> None:
    failure = diagnosis.examine(diagnosis.Case(run=a_run(), exit_code=1, lines=("\ud800 ValueError",)))
    assert msgspec.json.decode(msgspec.json.encode(failure))["kind"] == "exited"
