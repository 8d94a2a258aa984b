"""``bench collect``: gather submissions from folders, archives and git repositories."""

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from bench.contract.collected import Origin, hash_files, printable
from bench.errors import BenchError, ExitCode, UsageError
from bench.harness.submissions.collecting.contents import (
    Contents,
    FoundSubmission,
    check_entries,
    find_submissions,
    names_of,
    outside,
    read_files,
)
from bench.harness.submissions.collecting.folders import expand
from bench.harness.submissions.collecting.listing import read_list
from bench.harness.submissions.collecting.names import check_given_name, valid_name
from bench.harness.submissions.collecting.placing import Collection, opened_collection
from bench.harness.submissions.collecting.sources import (
    Request,
    Source,
    label_of_request,
    local_source,
    parse_source,
)
from bench.harness.submissions.collecting.weights import find_weights, place_weights
from bench.harness.submissions.handed_in import NAMES
from bench.text import one_line

WEIGHTS_REFUSED = "weights refused"
SIGNS = {"collected": "✓", "replaced": "✓", "unchanged": "="}


@dataclass(frozen=True)
class CollectOptions:
    """The options of ``bench collect``."""

    sources: Sequence[str]
    into: Path
    list_file: Path | None = None
    dry_run: bool = False
    replace: bool = False
    weights: Path | None = None  # folder of handed-in weights; None to leave them out


def collect_command(options: CollectOptions) -> ExitCode:
    """Collect submissions, and print a line per source. Return 2 if one was refused.

    Raises:
        UsageError: If there is no source, the list cannot be read, or the folder cannot be written.
    """
    requests = [Request(text) for text in options.sources]
    if options.list_file is not None:
        listed, ignored = read_list(options.list_file)
        requests += listed
        if ignored:
            print(f"! {options.list_file}: columns without a meaning here: {', '.join(ignored)}")
    if not requests:
        raise UsageError("no source; give folders, archives or git addresses, or a --list with a line for each")
    with opened_collection(options.into, replace=options.replace, dry_run=options.dry_run) as collection:
        counts = Counter(state for request in requests for state in _collect(request, collection, options))
        _print_same_code(collection)
        if not options.dry_run:
            collection.refusals.write()
    _print_end(options, counts)
    return ExitCode.USAGE if counts["refused"] or counts[WEIGHTS_REFUSED] else ExitCode.OK


def _collect(request: Request, collection: Collection, options: CollectOptions) -> Iterator[str]:
    """Collect the submissions of one request.

    Yield what happened to each: a ``Placed``, or ``refused``; and ``WEIGHTS_REFUSED``.
    """
    try:
        sources, without = _sources(request)
    except (BenchError, OSError) as error:
        collection.refusals.attempt(request, None)
        yield _refuse(label_of_request(request), error, request, collection)
        return
    if request.name is not None and len(sources) > 1:
        reason = f"{len(sources)} submissions for one `name`; give each a line of its own"
        collection.refusals.attempt(request, None)
        yield _refuse(label_of_request(request), UsageError(reason), request, collection)
        return
    for source in sources:
        collection.refusals.attempt(request, source)
        yield from _collect_source(source, request, collection, options)
    if without:
        names = ", ".join(one_line(path.name, 60) for path in without[:10])
        more = f" and {len(without) - 10:,} more" if len(without) > 10 else ""
        print(f"! {label_of_request(request)}: no submission in its folders {names}{more}")


def _sources(request: Request) -> tuple[list[Source], list[Path]]:
    """Return a request's sources (those in a folder, one by one) and the subfolders without any."""
    source = parse_source(request)
    if source.kind != "folder":
        return [source], []
    expansion = expand(source.path)
    return [local_source(path, as_repository=False) for path in expansion.paths], expansion.without


def _collect_source(
    source: Source, request: Request, collection: Collection, options: CollectOptions
) -> Iterator[str]:
    try:
        with source.opened() as contents:
            check_entries(contents.entries)
            found = find_submissions(contents.entries)
            if request.name is not None and len(found) > 1:
                folders = ", ".join(one_line(one.folder, 60) for one in found[:5])
                raise UsageError(f"{len(found)} submissions ({folders}) for one `name`; leave `name` empty")
            for one in found:
                yield from _collect_one(source, one, contents, request, collection, options)
            if rest := outside(contents.entries, found):
                print(f"    outside of the submissions, left out: {names_of(rest)}", flush=True)
    except (BenchError, OSError) as error:
        yield _refuse(source.label, error, request, collection, source)


def _collect_one(
    source: Source,
    found: FoundSubmission,
    contents: Contents,
    request: Request,
    collection: Collection,
    options: CollectOptions,
) -> Iterator[str]:
    """Collect one submission and print its lines. Yield what happened to it."""
    inner = "" if found.folder == "." else f", {one_line(found.folder, 100)}"
    label = source.label + inner
    try:
        folder_name = contents.root_name if found.folder == "." else PurePosixPath(found.folder).name
        name = check_given_name(request.name) if request.name is not None else valid_name(folder_name)
        files = read_files(found)
        origin = Origin(
            source=printable(source.recorded),
            folder=printable(found.folder),
            ref=source.ref,
            commit=contents.commit,
            team=request.team,
            collected=datetime.now(UTC).isoformat(timespec="seconds"),
            sha256=hash_files(files),
            files=len(files),
        )
        placed = collection.place(name, files, origin, label)
    except (BenchError, OSError) as error:
        yield _refuse(label, error, request, collection, source, found.folder)
        return
    yield placed
    facts = [] if request.team is None else [f"team {request.team}"]
    facts += [] if contents.commit is None else [f"commit {contents.commit[:10]}"]
    facts.append(f"{len(files)} files, {sum(map(len, files.values())):,} bytes")
    print(f"{SIGNS[placed]} {name}: {placed}, from {label} ({'; '.join(facts)})", flush=True)
    if request.name is None and name != folder_name:
        print(f"    named {name}, because {one_line(folder_name, 60)!r} is no name of a submission")
    if (other := collection.taken[name].label) != label:
        print(f"    the same files came from {other}")
    if _differs_from_commit(source, found, files):
        print("    its working copy differs from the commit; only what is committed is collected")
    weights = None if options.weights is None else find_weights(found.left_out)
    if options.weights is not None and weights is None:
        print(f"    no weights: none of {', '.join(NAMES)} is in it")
    if options.weights is not None and weights is not None:
        # Equal code of another team is "unchanged"; its weights are not those of the team that was here first.
        replace = options.replace and other == label
        try:
            line = place_weights(
                weights, found.left_out[weights], options.weights, name, replace=replace, dry_run=options.dry_run
            )
            print(f"    {line}")
        except (BenchError, OSError) as error:
            print(f"    ✗ weights: {one_line(_reason(error, source))}", flush=True)
            yield WEIGHTS_REFUSED
    if left_out := {path: entry for path, entry in found.left_out.items() if path != weights}:
        print(f"    left out: {names_of(left_out)}")


def _differs_from_commit(source: Source, found: FoundSubmission, files: dict[str, bytes]) -> bool:
    """Return whether a local repository's files differ from those of its commit."""
    folder = Path(source.address) / found.folder
    if source.kind != "repository" or source.ref is not None or not (Path(source.address) / ".git").is_dir():
        return False
    for path, content in files.items():
        file = folder / path
        if file.is_symlink() or not file.is_file() or file.stat().st_size != len(content):
            return True
        if file.read_bytes() != content:
            return True
    return False


def _refuse(
    label: str,
    error: Exception,
    request: Request,
    collection: Collection,
    source: Source | None = None,
    folder: str = ".",
) -> str:
    """Print and report why something is refused."""
    text = _reason(error, source)
    print(f"✗ {label}: {one_line(text)}", flush=True)
    collection.refusals.refuse(request, source, folder, text)
    return "refused"


def _reason(error: Exception, source: Source | None) -> str:
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename or 'the file'}: {error.strerror or error}"
    return text if source is None else source.without_credentials(text)


def _print_same_code(collection: Collection) -> None:
    for names in collection.same_code():
        origins = " and ".join(f"{name} ({collection.origin_of(name)})" for name in names)
        print(f"! the same model.py, except for comments: {origins}")


def _print_end(options: CollectOptions, counts: Counter[str]) -> None:
    there = counts["collected"] + counts["replaced"] + counts["unchanged"]
    states = ("collected", "replaced", "unchanged", "refused", WEIGHTS_REFUSED)
    line = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
    print(f"would be: {line}" if options.dry_run else line)
    if options.dry_run:
        print("nothing was written; repeat the command without --dry-run")
    elif there:
        print(f"next: bench verify {shlex.quote(str(options.into))}/*")
