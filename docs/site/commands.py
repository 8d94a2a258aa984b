"""The page of the command reference, generated from the typer application."""

import re
from collections.abc import Iterator
from typing import Any

import typer
import typer.main

from bench.cli import build_app

ADDED = re.compile(r"\s*\[((?:default|env var|required|x?>=|x?<=)[^\]]*)\]$")  # what typer appends to a help text
LIST_TYPE = re.compile(r"<list\[(\w+)\]>")
GENERAL = "general"  # options outside of all panels
INTRODUCTION = """# Commands

The content of `bench COMMAND --help`. `capbench` is another name of `bench`. `bench --version` prints the version,
and `bench --install-completion` adds completion to your shell. See also
[errors and exit codes](errors.md).
"""


def visible_commands() -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the panel of the help, and typer's command of each command that `bench --help` shows."""
    root: Any = typer.main.get_command(build_app())
    for name, command in root.commands.items():
        if command.hidden:
            continue
        panel = command.rich_help_panel
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield f"bench {name}", panel, command
        else:
            yield from ((f"bench {name} {word}", panel, inner) for word, inner in subcommands.items())


def commands_page() -> str:
    """Return the page's Markdown: a section per command, in the order of the help."""
    text, last = INTRODUCTION, None
    for name, panel, command in visible_commands():
        if panel != last:
            text += f"\n## {panel}\n"
            last = panel
        text += _section(name, command)
    return text


def _section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    description, _, example = command.help.partition("Example:")
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    text = f"\n### {name}\n\n{_escaped(description.strip())}\n\n```text\n{usage}\n```\n"
    if example:
        text += f"\nExample: `{' '.join(example.split())}`\n"
    panels: dict[str, list[str]] = {}
    arguments_first = sorted(command.get_params(context), key=lambda one: one.param_type_name != "argument")
    for parameter in arguments_first:
        record = parameter.get_help_record(context)
        if record is None or "--help" in parameter.opts:
            continue
        panel = getattr(parameter, "rich_help_panel", None) or GENERAL
        panels.setdefault(panel, []).append(_row(*record))
    for panel, rows in panels.items():
        heading = "Argument or option" if panel == GENERAL else panel
        text += f"\n| {heading} | Default | Meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    return text


def _row(names: str, description: str) -> str:
    added = []
    while match := ADDED.search(description):
        added.append(match[1])
        description = description[: match.start()]
    default = next((part.removeprefix("default: ") for part in added if part.startswith("default: ")), "")
    others = "".join(f" ({part})" for part in reversed(added) if not part.startswith("default: "))
    names = LIST_TYPE.sub(r"<\1>", names)
    shown = f"`{default}`" if default else ""
    return f"| `{names}` | {shown} | {_escaped(description + others)} |"


def _escaped(text: str) -> str:
    """Escape Markdown's special characters outside of code spans."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<|\[])", r"\\\1", part) for part in parts)
