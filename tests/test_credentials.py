"""What opens the platform stays with those it was given to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fitq.credentials import bearer, login_code, same_secret, valid_login_code

_TELLS_WHETHER_IT_IS_OPEN = """
import ctypes
from fitq import programs
from fitq.errors import InvalidRequest
from fitq.settings import Settings
try:
    programs.run_{program}(Settings(pool="No such name"))  # refused before it reaches a store
except InvalidRequest:
    print("open" if ctypes.CDLL(None).prctl(3) else "closed")  # PR_GET_DUMPABLE
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("program", ["api", "scoring", "worker"])
def test_children_cannot_read_the_environment_of_a_program(program: str) -> None:
    """Its children run models and scripts, and its environment holds every key."""
    code = _TELLS_WHETHER_IT_IS_OPEN.format(program=program)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "closed\n"


def test_a_login_code_opens_for_ten_minutes_and_only_with_its_token() -> None:
    code = login_code("token", at=1000)
    assert valid_login_code("token", code, at=1600)
    assert not valid_login_code("token", code, at=1601)
    assert not valid_login_code("other", code, at=1000)
    assert not valid_login_code("", login_code("", at=1000), at=1000)


@pytest.mark.parametrize("expires", ["9999", "²", "-1", "9" * 5000, ""])
def test_the_end_of_a_login_code_cannot_be_moved(expires: str) -> None:
    signature = login_code("token", at=1000).partition(".")[2]
    assert not valid_login_code("token", f"{expires}.{signature}", at=1000)


def test_an_empty_secret_equals_nothing() -> None:
    assert same_secret("a", "a")
    assert not same_secret("", "")
    assert not same_secret("a", "")


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", ""), ("abc", ""), ("", ""), (None, "")],
)
def test_a_token_comes_as_bearer(header: str | None, token: str) -> None:
    assert bearer(header) == token
