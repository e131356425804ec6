"""`fitq`: which commands there are, and how each of them ends."""

from __future__ import annotations

import os
import sys
import warnings

import click
import rich_click

from fitq.cli.commands import LazyGroup, Promise
from fitq.cli.output import INTERRUPTED, OK, TRY_AGAIN_LATER, YOU_CAN_FIX_IT, complain, say
from fitq.errors import FitqError

_TRAIN, _MODELS, _HERE, _SERVE = "Train", "Models", "This machine", "Programs, as services run them"
_DECLARED = "Declared in files"
COMMANDS: dict[str, Promise] = {
    "submit": Promise("fitq.cli.submit:submit", "Submit a script or folder as a run.", _TRAIN),
    "call": Promise("fitq.cli.call:call", "Submit a training function as a run.", _TRAIN),
    "runs": Promise("fitq.cli.runs:runs", "List, show, follow, compare and cancel runs.", _TRAIN),
    "functions": Promise(
        "fitq.cli.functions:functions", "List training functions, and go back to earlier code.", _TRAIN
    ),
    "pools": Promise("fitq.cli.pools:pools", "List pools and say how many workers they should have.", _TRAIN),
    "environments": Promise(
        "fitq.cli.environments:environments", "Build, list, show and withdraw environments.", _TRAIN
    ),
    "data": Promise(
        "fitq.cli.data:data", "Upload, list, download and withdraw data that runs take as input.", _TRAIN
    ),
    "models": Promise("fitq.cli.models:models", "Register, list, show and download models.", _MODELS),
    "score": Promise("fitq.cli.score:score", "Score rows with a model.", _MODELS),
    "endpoints": Promise("fitq.cli.endpoints:endpoints", "Deploy models behind stable addresses.", _MODELS),
    "apply": Promise("fitq.cli.apply:apply", "Make the platform as files say.", _DECLARED),
    "diff": Promise("fitq.cli.apply:diff", "Show what applying files would change.", _DECLARED),
    "export": Promise("fitq.cli.apply:export", "Print what is there as documents.", _DECLARED),
    "up": Promise("fitq.cli.up:up", "Start the whole platform on this machine.", _HERE),
    "down": Promise("fitq.cli.up:down", "Stop the platform on this machine.", _HERE),
    "status": Promise("fitq.cli.up:status", "Show the platform on this machine.", _HERE),
    "dashboard": Promise("fitq.cli.about:dashboard", "Print a link that opens the dashboard.", _HERE),
    "backup": Promise("fitq.cli.backup:backup", "Write everything that is kept to one file.", _HERE),
    "restore": Promise("fitq.cli.backup:restore", "Fill an empty platform from a backup.", _HERE),
    "doctor": Promise("fitq.cli.doctor:doctor", "Check that everything needed is there and answers.", _HERE),
    "upgrade": Promise(
        "fitq.cli.upgrade:upgrade", "Bring what is kept to the format of this version.", _HERE
    ),
    "settings": Promise("fitq.cli.about:settings", "List every setting with its value.", _HERE),
    "version": Promise("fitq.cli.about:version", "Print the version.", _HERE),
    "azureml-path": Promise(
        "fitq.cli.about:azureml_path", "Print the folder that makes azureml.core importable.", _HERE
    ),
    "api": Promise("fitq.cli.programs:api", "Run the control plane and dashboard.", _SERVE),
    "scheduler": Promise(
        "fitq.cli.programs:scheduler",
        "Run the scheduler, which gives runs of lost workers to others.",
        _SERVE,
    ),
    "scoring": Promise("fitq.cli.programs:scoring", "Run the scoring service.", _SERVE),
    "worker": Promise("fitq.cli.programs:worker", "Run one worker of one pool.", _SERVE),
}


#: Where people expect to give what their script or function takes, and cannot.
_GIVEN_OTHERWISE = {
    "fitq submit": "What the script takes comes after --: fitq submit train.py -- --penalty 1.0\n",
    "fitq call": "What the function takes is given by name: fitq call iris -p penalty=1.0\n",
}


class Main(LazyGroup):
    promises = COMMANDS


@rich_click.group(
    "fitq",
    cls=Main,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples:\n\nfitq up\n\nfitq submit train.py --follow -- --penalty 1.0\n\nfitq score iris",
)
def cli() -> None:
    """Fit on a queue, predict on demand.

    Results go to stdout, talk to stderr. Exit codes: 0 ok, 1 the run failed, 2 you can fix it,
    3 try again later.
    """


def run(arguments: list[str] | None = None) -> int:
    """Run one command line; its exit code."""
    warnings.formatwarning = lambda message, *_, **__: f"Note: {message}\n"
    try:
        code = cli.main(arguments, prog_name="fitq", standalone_mode=False)
        sys.stdout.flush()
    except FitqError as error:
        return complain(error)
    except click.UsageError as error:
        return _misused(error)
    except click.ClickException as error:
        return complain(FitqError(error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:  # `fitq runs list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:
        return _refused(error)
    return code if isinstance(code, int) else OK


def _misused(error: click.UsageError) -> int:
    command_path = error.ctx.command_path if error.ctx else "fitq"
    page = f"{_GIVEN_OTHERWISE.get(command_path, '')}Try: {command_path} --help"
    say(f"{click.style('Error:', fg='red', bold=True)} {error.format_message()}\n{page}")
    return YOU_CAN_FIX_IT


def _refused(error: OSError) -> int:
    """A file that cannot be read or written."""
    if error.filename is None:
        raise error
    complain(FitqError(f"{error.filename}: {error.strerror}."))
    return TRY_AGAIN_LATER if error.errno in (28, 122) else YOU_CAN_FIX_IT  # full disk, quota


def main() -> None:
    """Entry point of the `fitq` program."""
    sys.exit(run())
