"""The command ``bench``: each command parses its options, calls one function, and maps errors to exit codes.

Commands import their dependencies when they run, and nothing here imports torch, so that ``bench --help`` is fast.
"""

import gc
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from bench import __version__
from bench.cli import archives, ci, collecting, data, handed_in, reports, runs, searches, start
from bench.cli.signals import graceful_shutdown
from bench.cli.streams import safe_streams
from bench.errors import BenchError, ExitCode

PANELS: dict[str, tuple[Callable[..., None], ...]] = {  # panel of the help -> its commands
    "Submit": (start.new, runs.verify, runs.profile, runs.run, runs.ablate, searches.tune),
    "Compare": (reports.compare, reports.leaderboard, reports.plot, reports.status, reports.show, reports.export),
    "Check claims and regressions": (
        reports.verdict, reports.check, reports.certify, runs.verify_certificate, reports.papers,
        reports.reproduction,
    ),
    "Run a contest": (
        start.init, reports.rules, collecting.collect, handed_in.score_weights, ci.ci, start.schema,
    ),
    "Machines and data": (
        start.doctor, start.fetch, archives.pack, archives.unpack, runs.score, runs.score_real,
    ),
}  # fmt: skip
FORMER_NAMES: dict[str, Callable[..., None]] = {"floor": runs.score_real}  # hidden aliases
DATA_COMMANDS: tuple[Callable[..., None], ...] = (
    data.list_,
    data.verify,
    data.fetch,
    data.unpack,
    data.import_,
)


def _version(requested: bool) -> None:
    if requested:
        print(f"capbench {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


def build_app() -> typer.Typer:
    """Build the typer application with all commands."""
    app = typer.Typer(
        name="bench",
        help="Verify, train, evaluate and compare small image models under parameter and step caps.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        callback=_options,
    )
    for panel, commands in PANELS.items():
        for command in commands:
            app.command(rich_help_panel=panel)(command)
    for name, command in FORMER_NAMES.items():
        app.command(name, hidden=True)(command)
    data_app = typer.Typer(help="List, verify, download and convert data sets.", no_args_is_help=True)
    for command in DATA_COMMANDS:
        data_app.command(command.__name__.strip("_"))(command)
    app.add_typer(data_app, name="data", rich_help_panel="Machines and data")
    return app


def main() -> None:
    """Run the command. A user error ends it with one line and its exit code, never with a traceback."""
    # Default thresholds traverse all records again and again: 20 % of the time of a table of 10,000.
    gc.set_threshold(100_000, 20, 100)
    with safe_streams(), graceful_shutdown() as received:
        status = _run()
        if status == ExitCode.INTERRUPTED:
            status = received.exit_status
            print("interrupted; checkpoints are kept, repeat the command to resume", file=sys.stderr)
    sys.exit(status)


def _run() -> int:
    """Run the command and return its exit code."""
    try:
        code = build_app()(standalone_mode=False)
        sys.stdout.flush()  # here, so that the handlers below report a full disk
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        # Errors without a message of their own: a name that is too long, a full disk, a file that has vanished.
        print(f"bench: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.USAGE
    except Exception as error:
        show = getattr(error, "show", None)  # only click's usage errors have it
        if show is None:
            raise
        show()
        if type(error).__name__ == "NoArgsIsHelpError":  # the help was printed to standard output
            print("bench: no command given; choose one of the above", file=sys.stderr)
        return ExitCode.USAGE
    return int(code) if isinstance(code, int) else ExitCode.OK  # some versions of typer return 130 themselves
