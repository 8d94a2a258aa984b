"""The command ``bench``: each command parses its options, calls one function, and maps errors to exit codes.

Nothing here imports torch, and what a command needs is imported when it runs, so that ``bench --help`` is quick.
"""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from bench import __version__
from bench.cli import carry, data, reports, runs, searches, start
from bench.cli.signals import ending_in_order
from bench.cli.streams import bearable_streams
from bench.errors import BenchError, ExitCode

COMMANDS: tuple[Callable[..., None], ...] = (
    runs.run,
    runs.ablate,
    runs.verify,
    runs.profile,
    searches.tune,
    reports.compare,
    reports.leaderboard,
    reports.verdict,
    reports.check,
    reports.plot,
    reports.status,
    reports.show,
    reports.certify,
    runs.verify_certificate,
    reports.papers,
    reports.reproduction,
    runs.floor,
    runs.score,
    carry.pack,
    carry.unpack,
    start.fetch,
    start.new,
    start.doctor,
)
DATA_COMMANDS: tuple[Callable[..., None], ...] = (data.list_, data.verify, data.unpack, data.fetch)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"capbench {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    pass


def build_app() -> typer.Typer:
    """All commands under one name."""
    app = typer.Typer(
        name="bench",
        help="Verify, train, evaluate and compare small image models under parameter and step caps.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        callback=_options,
    )
    for command in COMMANDS:
        app.command()(command)
    data_app = typer.Typer(
        help="The data sets: what is here, whether it is intact, how to get it.", no_args_is_help=True
    )
    for command in DATA_COMMANDS:
        data_app.command(command.__name__.strip("_"))(command)
    app.add_typer(data_app, name="data")
    return app


def main() -> None:
    """Run the command; a user's mistake ends in one line and its exit code, never in a traceback."""
    with bearable_streams(), ending_in_order() as received:
        status = _run()
        if status == ExitCode.INTERRUPTED:
            status = received.exit_status
            print("interrupted; checkpoints are kept, repeat the command to go on", file=sys.stderr)
    sys.exit(status)


def _run() -> int:
    """The command's exit code."""
    try:
        code = build_app()(standalone_mode=False)
        sys.stdout.flush()  # while a full disk can still be told of
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        # What no message was written for: a name that is too long, a disk that is full, a file that went away.
        print(f"bench: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return ExitCode.USAGE
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors
        if show is None:
            raise
        show()
        return ExitCode.USAGE
    return int(code) if isinstance(code, int) else ExitCode.OK  # some versions of typer return 130 themselves
