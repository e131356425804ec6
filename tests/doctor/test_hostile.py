"""A log is anybody's text. Whatever it holds, the doctor answers, soon, and the run ends with a failure."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fitq.records import Failure
from fitq.worker.doctor import diagnosis
from fitq.worker.doctor.families import limits
from fitq.worker.std_log import StdLog
from fitq.worker.watch import Ended
from tests.doctor.conftest import a_run

PIECES = [
    "Traceback (most recent call last):", '  File "train.py", line 3, in f', "    return 1 / n",
    "ValueError: x",
    '  File "<stdin>", line 99999999999999999999, in <module>', '  File "', '"""', "usage: ", "x: error: ",
    "During handling of the above exception, another exception occurred:", "  + Exception Group Traceback",
    "The above exception was the direct cause of the following exception:", "Fatal Python error: ", "    | ",
    "SyntaxError: invalid syntax", "ModuleNotFoundError: No module named 'a.b.c'",
    "[Errno 2] No such file: '",
    "FileNotFoundError: [Errno 2] No such file or directory: '\\\\",
    "ImportError: cannot import name 'x' from '",
    "TypeError: got an unexpected keyword argument 'sparse'", "The 'a' parameter of B must be Got 'auto'",
    "subprocess.CalledProcessError: Command", "[fitq] attempt 2", "\x1b[31m", "\x00", "\ud800", "é" * 50, "",
]  # fmt: skip
lines = st.lists(st.sampled_from(PIECES) | st.text(max_size=80), max_size=60)
codes = st.integers(-70, 260)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=lines, exit_code=codes, is_command=st.booleans(), ended=st.sampled_from(Ended))
@example(lines=["Traceback (most recent call last):"], exit_code=1, is_command=False, ended=Ended.EXITED)
def test_any_lines_get_a_diagnosis(lines: list[str], exit_code: int, is_command: bool, ended: Ended) -> None:
    run = a_run(command="x", script=None) if is_command else a_run()
    failure = diagnosis.examine(diagnosis.Case(run=run, exit_code=exit_code, lines=tuple(lines), ended=ended))
    assert failure.kind in diagnosis.KINDS
    assert failure.message
    assert failure.hint
    assert len(failure.lines) <= 12
    assert all(len(line) <= 300 for line in failure.lines)
    assert msgspec.json.decode(msgspec.json.encode(failure), type=Failure) == failure


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=5_000), exit_code=codes)
def test_any_bytes_get_a_diagnosis(data: bytes, exit_code: int, tmp_path: Path) -> None:
    log = StdLog(tmp_path / "log", max_bytes=2_000)
    log.feed(data)
    log.close()
    failure = diagnosis.examine(diagnosis.Case(run=a_run(), exit_code=exit_code, lines=tuple(log.tail())))
    assert failure.kind in diagnosis.KINDS


@pytest.mark.parametrize(
    "line",
    ["a" * 250_000, "ValueError: " + "Input X contains " * 15_000, ": " * 100_000, "'" * 200_000,
     "No module named '" + "a." * 100_000, "[Errno 2] x: '" + "\\" * 100_000, "`np." + "a" * 100_000,
     "The 'a' parameter of B must be " + "Got " * 50_000, "\n".join(["x: error: y"] * 20_000),
     "\n".join(["Traceback (most recent call last):"] * 8_000),
     "\n".join(['  File "a", line 1, in f'] * 10_000)],
    ids=lambda line: line[:20],
)  # fmt: skip
@pytest.mark.parametrize(
    "before", ["", 'Traceback (most recent call last):\n  File "t", line 1, in <module>\n']
)
def test_no_text_keeps_the_doctor_busy(line: str, before: str) -> None:
    began = time.process_time()
    for exit_code in (1, 2, -signal.SIGSEGV):
        diagnosis.examine(
            diagnosis.Case(run=a_run(), exit_code=exit_code, lines=tuple(f"{before}{line}".split("\n")))
        )
    assert time.process_time() - began < 3


def test_a_slip_of_the_doctor_costs_no_run_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(limits, "recognise", slip)
    failure = diagnosis.diagnose(diagnosis.Case(run=a_run(), exit_code=5, lines=("the last line",)))
    assert (failure.kind, failure.exit_code, failure.lines) == ("user_error", 5, ["the last line"])


@pytest.mark.parametrize("name", [".gitignore", ".fitqignore"])
def test_an_ignore_file_that_a_script_left_there_is_not_trusted(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("x.csv\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / name).symlink_to(tmp_path / "secret")
    said = 'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\n'
    said += "FileNotFoundError: [Errno 2] No such file or directory: 'x.csv'"
    case = diagnosis.Case(run=a_run(), exit_code=1, lines=tuple(said.split("\n")), code=tmp_path / "code")
    assert "left out" not in diagnosis.examine(case).hint
    (tmp_path / "code" / name).unlink()
    (tmp_path / "code" / name).write_text("*a*b*c*d*e*f*\n" + "#\n" * 5_000 + "x.csv\n")
    assert "left out" not in diagnosis.examine(case).hint
    (tmp_path / "code" / name).write_text("*.csv\n")
    fresh = diagnosis.Case(run=a_run(), exit_code=1, lines=case.lines, code=tmp_path / "code")
    assert f"left out of the snapshot by '*.csv' in {name}" in diagnosis.examine(fresh).hint


def test_a_folder_that_became_a_link_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "train.csv").touch()
    (tmp_path / "code").symlink_to(tmp_path / "elsewhere")
    said = 'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\n'
    said += "FileNotFoundError: [Errno 2] No such file or directory: 'trian.csv'"
    case = diagnosis.Case(run=a_run(), exit_code=1, lines=tuple(said.split("\n")), code=tmp_path / "code")
    assert "train.csv" not in diagnosis.examine(case).hint
