"""``bench verify``: check submissions, and print counts as tables and problems as lines."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from bench.contract.jobs.reports import Verification
from bench.contract.jobs.spec import JobData, JobSpec
from bench.contract.manifest import label_of
from bench.contract.records.caps import counts_of
from bench.contract.records.record import Cost
from bench.contract.tracks import OFFICIAL, protocol_of
from bench.data.store import describe
from bench.errors import ExitCode
from bench.harness.executors.concurrency import side_by_side
from bench.harness.executors.executor import LocalExecutor
from bench.harness.executors.local import Stopped
from bench.harness.executors.sandbox import choose_sandbox
from bench.harness.planning.devices import choose_device, usable_cores
from bench.harness.runner import exit_code_of
from bench.harness.submissions.discovery import SubmissionSource, submissions_of, variants_of
from bench.harness.verification import VerificationResult, verify_in_process
from bench.text import one_line


def verify_command(
    paths: list[Path],
    variants: str,
    device: str,
    track: Path | None,
    sandbox: str = "auto",
    *,
    debug: bool = False,
) -> ExitCode:
    """Verify submissions and print the results.

    Args:
        paths: Submission folders, or folders of such folders.
        variants: ``base``, ``all``, or names separated by commas.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        track_file: A track's name, or the file of a custom track; None for all shipped tracks.
        sandbox: ``auto``, ``bwrap`` or ``none``.
        debug: Whether to print the submissions' output and tracebacks.

    Returns:
        0, or the most severe exit code of all submissions.

    Raises:
        BenchError: If a path or an option is invalid.
        KeyboardInterrupt: After Ctrl-C, once all processes have ended.
    """
    submissions, broken = submissions_of(paths, track)
    chosen_device = choose_device(device)
    chosen_sandbox = choose_sandbox(sandbox, chosen_device)
    entries = [
        (submission, variant) for submission in submissions for variant in variants_of(submission, variants)
    ]
    stop, executor = threading.Event(), LocalExecutor(chosen_device, usable_cores())
    verified: dict[int, VerificationResult] = {}  # by index into ``entries``
    printed: list[int] = []

    def verify(index: int) -> None:
        with contextlib.suppress(Stopped):
            spec = verification_spec(*entries[index], chosen_device)
            verified[index] = verify_in_process(executor, spec, stop, chosen_sandbox)

    def print_reports() -> None:
        """Print the reports that are ready, in the order of the submissions."""
        while len(printed) in verified:
            index = len(printed)
            text = report_text(*entries[index], verified[index].verification)
            print(text + (debug_text(verified[index].log) if debug else ""), end="\n\n", flush=True)
            printed.append(index)

    indices, cores = range(len(entries)), usable_cores()
    side_by_side(verify, indices, lambda unfinished: cores, tick=print_reports, stop=stop.set)
    print_reports()
    for _, error in broken:
        print(f"✗ {error}")
    results = [(*entry, verified[index].verification) for index, entry in enumerate(entries)]
    if len(results) > 1:
        print(summary_text(results), end="\n\n")
    print(count_text([result for *_, result in results], unreadable=len(broken), debug=debug))
    codes = [_exit_code(result) for *_, result in results] + [error.exit_code for _, error in broken]
    return max(codes, default=ExitCode.OK)


def _exit_code(verification: Verification) -> ExitCode:
    if not verification.problems:
        return ExitCode.OK
    return exit_code_of(verification.problems[0].status)


def debug_text(log: str) -> str:
    """Format a submission's output, indented to set it apart from the harness's lines."""
    lines = log.splitlines() or ["(nothing was printed)"]
    return "".join(f"\n  | {line}" for line in lines)


def count_text(results: Sequence[Verification], *, unreadable: int, debug: bool) -> str:
    """Return a line with the numbers of verified, failed and unreadable submissions."""
    failed = sum(1 for result in results if result.problems)
    parts = [f"{len(results) - failed} verified"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{unreadable} unreadable"] if unreadable else []
    hint = "; --debug shows their output and tracebacks" if failed and not debug else ""
    return ", ".join(parts) + hint


def verification_spec(submission: SubmissionSource, variant: str, device: str) -> JobSpec:
    """Return the specification of a verification: official budget and the data set's shape, but no data."""
    info = describe(submission.track.data)
    channels = info.image_shape[0]
    return JobSpec(
        submission=submission.name,
        folder=submission.folder,
        variant=variant,
        overrides=submission.manifest.overrides(variant, OFFICIAL),
        seed=0,
        protocol=protocol_of(submission.track, OFFICIAL, info.name),
        steps=submission.track.steps(OFFICIAL, submission.manifest.official_steps(variant)),
        data=JobData(
            name=info.name,
            root=Path(),
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=(0.5,) * channels,
            channel_std=(0.25,) * channels,
        ),
        as_published=submission.manifest.as_published,
        device=device,
        threads=1,
        work=Path(),  # replaced by a temporary folder
        speed_seconds=0.0,
        declared=submission.manifest.declared(),
    )


def report_text(submission: SubmissionSource, variant: str, verification: Verification) -> str:
    """Format the verification of one (submission, variant)."""
    label = label_of(submission.name, variant)
    lines = [f"{label} ({submission.track.name})"]
    if verification.cost is not None:
        lines += _cost_lines(submission, variant, verification.cost)
        lines += _cap_lines(submission, variant, verification)
    lines += [
        f"! over the cap or budget, so it is measured but never ranked: {line}" for line in verification.over_caps
    ]
    lines += [f"! {line}" for line in verification.warnings]
    lines += [f"✗ {label}: {problem.message}" for problem in verification.problems]
    if not verification.problems:
        lines.append(f"✓ {', '.join(verification.tested)}")
    return "\n".join(lines)


def summary_text(verified: list[tuple[SubmissionSource, str, Verification]]) -> str:
    """Format all verifications as one table, with the papers' parameter counts."""
    rows = []
    for submission, variant, verification in verified:
        cost, claim = verification.cost, submission.manifest.claims_of(variant).params
        status = "✗" if verification.problems else "over, unranked" if verification.over_caps else "✓"
        params = "–" if cost is None else f"{cost.params:,}"
        paper = "–" if claim is None else f"{claim:,}"
        difference = "–" if claim is None or cost is None else _difference(cost.params, claim)
        cap = "none" if submission.track.caps.params is None else f"{submission.track.caps.params:,}"
        rows.append((label_of(submission.name, variant), params, paper, difference, cap, status))
    headers = ["submission", "params", "paper", "", "cap", "verified"]
    align = ("left", "right", "right", "left", "right", "left")
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


def _cost_lines(submission: SubmissionSource, variant: str, cost: Cost) -> list[str]:
    rows = [(one_line(name, 200), f"{count:,}") for name, count in cost.params_by_module.items()]
    rows.append(("total", f"{cost.params:,}"))
    table = tabulate(rows, headers=["module", "params"], colalign=("left", "right"), disable_numparse=True)
    cap, claims = submission.track.caps.params, submission.manifest.claims_of(variant)
    within = "" if cap is None else f", cap {cap:,}: {'within' if cost.params <= cap else 'EXCEEDED'}"
    paper = (
        "" if claims.params is None else f", paper {claims.params:,}: {_difference(cost.params, claims.params)}"
    )
    stored = f"{cost.stored_scalars:,} stored scalars at inference"
    stored += f" ({cost.inference_buffers:,} in buffers, {cost.inference_plain:,} in plain attributes)"
    if cost.weight_bytes is not None:
        stored += f"; {cost.weight_bytes:,} bytes of weights"
    evaluations = f" in {cost.evaluations_per_sample:,} evaluations" if cost.evaluations_per_sample > 1 else ""
    by_fvcore = "" if cost.fvcore_macs_per_image != cost.macs_per_image else ", same as fvcore"
    lines = [
        table,
        f"{cost.params:,} params{within}{paper}",
        *differing_modules(cost, claims.params_by_module),
        stored,
        f"{cost.bound}{cost.macs_per_image / 1e6:,.2f} MMACs per image{evaluations}{by_fvcore}; "
        f"{cost.training_flops_per_step / 1e9:,.2f} GFLOPs per training step (1 MAC = 2 FLOPs)",
    ]
    for unit, shares in (("image", cost.uncounted_share), ("training step", cost.uncounted_in_training)):
        if shares:
            operators = ", ".join(
                f"{name} ({share:.1%} of all elements)" for name, share in sorted(shares.items())
            )
            lines.append(f"operators not counted per {unit}: {operators}")
    return lines + (cost.warnings or [])


def _cap_lines(submission: SubmissionSource, variant: str, verification: Verification) -> list[str]:
    """Return a line for each cap of the track on operations, bytes and images: the count, and if it is within."""
    assert verification.cost is not None
    steps = submission.track.steps(OFFICIAL, submission.manifest.official_steps(variant))
    counts = counts_of(verification.cost, steps, verification.config["batch_size"])
    caps = {name: getattr(submission.track.caps, name) for name in counts}
    return [
        f"{name}: {count:,}, cap {caps[name]:,}: {'within' if count <= caps[name] else 'EXCEEDED'}"
        for name, count in counts.items()
        if caps[name] is not None and count is not None
    ]


def _difference(count: int, claim: int) -> str:
    return "equal" if count == claim else f"{count - claim:+,}"


def differing_modules(cost: Cost, claimed: dict[str, int]) -> list[str]:
    """Return a line for each module whose parameter count differs from the paper's.

    Args:
        cost: The measured cost.
        claimed: Module name -> parameters in the paper; a name includes all submodules.
    """
    lines = []
    for module, claim in claimed.items():
        count = sum(
            params
            for name, params in cost.params_by_module.items()
            if name == module or name.startswith(module + ".")
        )
        if count != claim:
            lines.append(f"  {module}: {count:,}, paper {claim:,}: {_difference(count, claim)}")
    return lines
