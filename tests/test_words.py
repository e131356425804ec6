"""Errors, names, units, settings: the vocabulary."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitq import errors
from fitq.errors import FitqError, InvalidRequest, NotFound, Unavailable, from_body
from fitq.names import check_name, did_you_mean, new_run_id
from fitq.settings import Settings, variable
from fitq.units import format_bytes, format_seconds, parse_bytes, parse_seconds


def test_every_error_has_a_code_a_status_and_a_sentence() -> None:
    kinds = errors._tree(FitqError)
    assert len({k.code for k in kinds}) == len(kinds)
    for kind in kinds:
        assert 400 <= kind.status < 600
        assert kind().message
        assert f"{kind.__name__} " in (errors.__doc__ or "") or kind is FitqError


def test_an_error_survives_the_way_over_http() -> None:
    sent = NotFound("There is no run 'x'.", hint="List them.", runs=["a"])
    back = from_body(404, sent.to_body("id-1"))
    assert type(back) is NotFound
    assert (back.message, back.hint, back.data["runs"]) == (sent.message, sent.hint, ["a"])


def test_a_clients_own_subclass_is_no_part_of_the_tree() -> None:
    class Mine(errors.RunFailed):
        """A client's name for it."""

    assert type(from_body(409, {"code": "run_failed"})) is errors.RunFailed
    assert Mine not in errors._tree(FitqError)


def test_an_unknown_body_becomes_the_class_of_its_status() -> None:
    assert type(from_body(503, {"detail": "nginx"})) is Unavailable


@pytest.mark.parametrize(
    ("noun", "good", "bad"),
    [
        ("model", ["sklearn-iris", "A.b_c"], ["", "-x", "a/b", "../x", "é", "x" * 256, "a\n"]),
        ("endpoint", ["scikit-learn-service", "abc"], ["ab", "Abc", "a--", "1ab", "a" * 33]),
        ("pool", ["default", "cpu-2"], ["Default", "2cpu", "a_b", ""]),
        ("run", ["iris-k3f9x2ma"], ["../x", "A", "x" * 65]),
    ],
)
def test_names(noun: str, good: list[str], bad: list[str]) -> None:
    for name in good:
        assert check_name(noun, name) == name
    for name in bad:
        with pytest.raises(InvalidRequest) as caught:
            check_name(noun, name)
        assert caught.value.data["at"] == noun


@given(st.text())
def test_a_run_id_is_always_a_valid_name(stem: str) -> None:
    check_name("run", new_run_id(stem))


def test_near_matches_are_offered() -> None:
    assert did_you_mean("irs", ["iris", "digits"]) == "Did you mean 'iris'?"
    assert did_you_mean("zebra", ["iris"]) == ""


def test_sizes_and_durations() -> None:
    assert parse_bytes("2GiB") == 2 << 30
    assert parse_bytes("1.5k") == 1500
    assert parse_bytes("123") == 123
    assert parse_seconds("1h30m") == 5400
    assert parse_seconds("0.5") == 0.5
    assert format_seconds(5400) == "1h 30m"
    assert format_seconds(0.351) == "0.35 s"
    assert format_bytes(1536) == "1.5 KiB"
    for wrong in ("", "x", "5 lightyears", "1h foo", "-1"):
        with pytest.raises(InvalidRequest):
            parse_bytes(wrong)
        with pytest.raises(InvalidRequest):
            parse_seconds(wrong)


def test_settings_come_from_the_environment_and_go_back_into_it() -> None:
    settings = Settings.from_environment(
        {"FITQ_API_PORT": "9000", "FITQ_TOKEN": "t", "OTHER": "x", "FITQ_POOL": ""}, bucket="b"
    )
    assert (settings.api_port, settings.token, settings.bucket, settings.pool) == (9000, "t", "b", "default")
    assert Settings.from_environment(settings.to_environment()) == settings


def test_a_bad_setting_names_variable_value_and_a_good_one() -> None:
    with pytest.raises(InvalidRequest) as caught:
        Settings.from_environment({"FITQ_API_PORT": "many"})
    assert "FITQ_API_PORT" in caught.value.message
    assert "'many'" in caught.value.message
    assert "8700" in caught.value.hint


def test_secrets_are_never_printed() -> None:
    secret = {f.name: "hunter2" for f in dataclasses.fields(Settings) if f.metadata["secret"]}
    assert set(secret) == {"redis_url", "s3_secret_key", "token", "scaler_token"}
    assert "hunter2" not in repr(Settings(**secret))


def test_every_setting_has_help_and_a_variable() -> None:
    for setting in dataclasses.fields(Settings):
        assert setting.metadata["help"]
        assert variable(setting.name) == f"FITQ_{setting.name.upper()}"
