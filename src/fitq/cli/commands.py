"""What our commands have in common: examples closing each page, and imports only for what is used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import click
import rich_click

from fitq.names import did_you_mean

_EXAMPLES = "Examples:"


class Promise(NamedTuple):
    """A command that is imported when it is used."""

    path: str  #: module:attribute
    sentence: str  #: what help says about it; the command itself must start with the same words
    panel: str  #: under which heading


class LazyGroup(rich_click.RichGroup):
    """A group that knows its commands by name and sentence only, until one of them is used."""

    promises: ClassVar[dict[str, Promise]] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.promises)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        promise = self.promises.get(cmd_name)
        if promise is None:
            return None
        return rich_click.RichCommand(
            name=cmd_name, callback=None, help=promise.sentence, panel=promise.panel
        )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.promises:
            near = did_you_mean(args[0], self.promises)
            raise click.UsageError(f"There is no command {args[0]!r}. {near}".strip(), ctx)
        return args[0], self.load(args[0]), args[1:]

    def load(self, name: str) -> click.Command:
        """The real command."""
        module, _, attribute = self.promises[name].path.partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def command(name: str, *examples: str, **settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A command whose page closes with examples."""
    return rich_click.command(name, epilog=_closing(examples), **settings)


def group(name: str, *examples: str) -> Callable[[Callable[..., Any]], click.Group]:
    """A noun whose verbs are commands, and whose page closes with examples."""
    return rich_click.group(name, epilog=_closing(examples))


def _closing(examples: tuple[str, ...]) -> str:
    return "\n\n".join([_EXAMPLES, *examples])


def json_option(target: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`, on everything that reads."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(target)
