"""What a SageMaker training script reads from its environment, said of one of our runs.

Source: the variables that sagemaker-training-toolkit sets; `./outputs` is where its model goes.
"""

from __future__ import annotations

import itertools
import json
import os

from fitq.records import Json, RunRecord

#: Linux starts no process with a longer variable (MAX_ARG_STRLEN); what is longer once quoted is left out.
_VARIABLE_BYTES = 120 * 1024


def sagemaker_environment(run: RunRecord, outputs: str, channels: dict[str, str]) -> dict[str, str]:
    """`SM_…` variables of a run.

    Args:
        outputs: the folder that is kept.
        channels: name of an input → its folder.
    """
    hyperparameters: dict[str, Json] = {**_from_arguments(run.arguments), **run.parameters}
    facts: dict[str, Json] = {
        "model_dir": outputs,
        "output_data_dir": outputs,
        "channels": list[Json](channels),
        "hps": dict(hyperparameters),
        "user_args": list[Json](all_arguments(run)),
        "num_cpus": round(run.resources.cpus or os.cpu_count() or 1),
        "num_gpus": 0,
        "hosts": ["localhost"],
        "current_host": "localhost",
    }
    training = {**facts, "hyperparameters": facts["hps"], "job_name": run.id, "module_name": run.script or ""}
    named = {f"SM_{name.upper()}": _text(value) for name, value in facts.items()}
    each = {f"SM_HP_{name.upper()}": _text(value) for name, value in hyperparameters.items()}
    inputs = {f"SM_CHANNEL_{name.upper()}": folder for name, folder in channels.items()}
    return _startable({**each, **named, **inputs, "SM_TRAINING_ENV": _text(training)})


def all_arguments(run: RunRecord) -> list[str]:
    """The words a script is started with: its arguments, then each parameter as `--name value`, as SageMaker
    hands over hyperparameters. A parameter that is null is left out."""
    given = ((name, value) for name, value in run.parameters.items() if value is not None)
    return [*run.arguments, *(word for name, value in given for word in (f"--{name}", str(value)))]


def _from_arguments(arguments: list[str]) -> dict[str, str]:
    """`--name value` and `--name=value` among a script's arguments."""
    found: dict[str, str] = {}
    for word, following in itertools.pairwise([*arguments, "--"]):
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            continue
        if equals or not following.startswith("--"):
            found[name] = value if equals else following
    return found


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _startable(variables: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in variables.items()
        if len(os.fsencode(f"{name}={value}")) < _VARIABLE_BYTES and "=" not in name and "\0" not in value
    }
