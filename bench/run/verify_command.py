"""What ``bench verify`` does: every count in a table, every problem in a line."""

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from bench.contract.jobs import JobData, JobSpec, Verification
from bench.contract.manifest import label_of
from bench.contract.records import Cost
from bench.contract.tracks import OFFICIAL, protocol_of
from bench.data.store import describe
from bench.errors import ExitCode
from bench.run.devices import choose_device, usable_cores
from bench.run.discovery import Found, submissions_of, variants_of
from bench.run.executors.executor import LocalExecutor
from bench.run.executors.local import Stopped
from bench.run.executors.sandbox import choose_walls
from bench.run.runner import Verified, exit_code_of, verify_in_process
from bench.run.side_by_side import side_by_side
from bench.text import one_line


def verify_command(
    paths: list[Path],
    variants: str,
    device: str,
    track_file: Path | None,
    sandbox: str = "auto",
    *,
    debug: bool = False,
) -> ExitCode:
    """Verify submissions and print what was found.

    Args:
        paths: Of submissions, or of folders that hold some.
        variants: As ``bench run`` takes them.
        device: Likewise.
        track_file: Of the user's own contest.
        sandbox: Likewise.
        debug: Whether to print all that submissions print, and the traceback of one that raises.

    Returns:
        0, or the most severe exit code of any submission.

    Raises:
        BenchError: If a path or option is wrong.
        KeyboardInterrupt: After Ctrl-C, once all processes have ended.
    """
    found, broken = submissions_of(paths, track_file)
    chosen_device = choose_device(device)
    walls = choose_walls(sandbox, chosen_device)
    entries = [(submission, variant) for submission in found for variant in variants_of(submission, variants)]
    stop, executor = threading.Event(), LocalExecutor(chosen_device, usable_cores())
    verified: dict[int, Verified] = {}
    printed: list[int] = []

    def verify(number: int) -> None:
        with contextlib.suppress(Stopped):
            spec = verification_spec(*entries[number], chosen_device)
            verified[number] = verify_in_process(executor, spec, stop, walls)

    def print_what_is_next() -> None:
        """In the order of the submissions, whichever was done first."""
        while len(printed) in verified:
            number = len(printed)
            text = report_text(*entries[number], verified[number].found)
            print(text + (debug_text(verified[number].log) if debug else ""), end="\n\n", flush=True)
            printed.append(number)

    numbers, at_once = range(len(entries)), usable_cores()
    side_by_side(verify, numbers, lambda left: at_once, tick=print_what_is_next, stop=stop.set)
    print_what_is_next()
    for _, error in broken:
        print(f"✗ {error}")
    results = [(*entry, verified[number].found) for number, entry in enumerate(entries)]
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
    """What was printed, set apart from what the harness says."""
    lines = log.splitlines() or ["(nothing was printed)"]
    return "".join(f"\n  | {line}" for line in lines)


def count_text(results: Sequence[Verification], *, unreadable: int, debug: bool) -> str:
    """How many were verified, and how many of them failed."""
    failed = sum(1 for result in results if result.problems)
    parts = [f"{len(results) - failed} verified"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{unreadable} unreadable"] if unreadable else []
    hint = "; --debug shows what they print, and tracebacks" if failed and not debug else ""
    return ", ".join(parts) + hint


def verification_spec(found: Found, variant: str, device: str) -> JobSpec:
    """What a verification is told: the official budget, and a data set's shape, but no data."""
    info = describe(found.track.data)
    channels = info.image_shape[0]
    return JobSpec(
        submission=found.name,
        folder=found.folder,
        variant=variant,
        overrides=found.manifest.overrides(variant, OFFICIAL),
        seed=0,
        protocol=protocol_of(found.track, OFFICIAL, info.name),
        steps=found.track.steps(OFFICIAL, found.manifest.official_steps(variant)),
        data=JobData(
            name=info.name,
            root=Path(),
            image_shape=info.image_shape,
            num_classes=info.num_classes,
            channel_mean=(0.5,) * channels,
            channel_std=(0.25,) * channels,
        ),
        as_published=found.manifest.as_published,
        device=device,
        threads=1,
        work=Path(),  # replaced by a temporary folder
        speed_seconds=0.0,
        declared=found.manifest.declared(),
    )


def report_text(found: Found, variant: str, verification: Verification) -> str:
    """One submission's verification as text."""
    label = label_of(found.name, variant)
    lines = [f"{label} ({found.track.name})"]
    if verification.cost is not None:
        lines += _cost_lines(found, variant, verification.cost)
    lines += [
        f"! outside of the contest, so it is measured but never ranks: {line}" for line in verification.over_caps
    ]
    lines += [f"! {line}" for line in verification.warnings]
    lines += [f"✗ {label}: {problem.message}" for problem in verification.problems]
    if not verification.problems:
        lines.append(f"✓ {', '.join(verification.tested)}")
    return "\n".join(lines)


def summary_text(verified: list[tuple[Found, str, Verification]]) -> str:
    """All of them in one table: counts beside the paper's."""
    rows = []
    for found, variant, verification in verified:
        cost, claim = verification.cost, found.manifest.claims_of(variant).params
        outcome = "✗" if verification.problems else "over, unranked" if verification.over_caps else "✓"
        params = "–" if cost is None else f"{cost.params:,}"
        paper = "–" if claim is None else f"{claim:,}"
        equal = "–" if claim is None or cost is None else _against(cost.params, claim)
        cap = "none" if found.track.caps.params is None else f"{found.track.caps.params:,}"
        rows.append((label_of(found.name, variant), params, paper, equal, cap, outcome))
    headers = ["submission", "params", "paper", "", "cap", "verified"]
    align = ("left", "right", "right", "left", "right", "left")
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


def _cost_lines(found: Found, variant: str, cost: Cost) -> list[str]:
    rows = [(one_line(name, 200), f"{count:,}") for name, count in cost.params_by_module.items()]
    rows.append(("total", f"{cost.params:,}"))
    table = tabulate(rows, headers=["module", "params"], colalign=("left", "right"), disable_numparse=True)
    cap, claims = found.track.caps.params, found.manifest.claims_of(variant)
    within = "" if cap is None else f", cap {cap:,}: {'within' if cost.params <= cap else 'EXCEEDED'}"
    paper = "" if claims.params is None else f", paper {claims.params:,}: {_against(cost.params, claims.params)}"
    stored = f"{cost.stored_scalars:,} stored scalars at inference"
    stored += f" ({cost.inference_buffers:,} in buffers, {cost.inference_plain:,} in plain attributes)"
    evaluations = f" in {cost.evaluations_per_sample:,} evaluations" if cost.evaluations_per_sample > 1 else ""
    by_fvcore = "" if cost.fvcore_macs_per_image != cost.macs_per_image else ", as fvcore counts too"
    lines = [
        table,
        f"{cost.params:,} params{within}{paper}",
        *differing_modules(cost, claims.params_by_module),
        stored,
        f"{cost.bound}{cost.macs_per_image / 1e6:,.2f} MMACs per image{evaluations}{by_fvcore}; "
        f"{cost.training_flops_per_step / 1e9:,.2f} GFLOPs per training step (1 MAC = 2 FLOPs)",
    ]
    for which, shares in (("image", cost.uncounted_share), ("training step", cost.uncounted_in_training)):
        if shares:
            named = ", ".join(f"{name} ({share:.1%} of all elements)" for name, share in sorted(shares.items()))
            lines.append(f"not in the count per {which}: {named}")
    return lines + (cost.warnings or [])


def _against(count: int, claim: int) -> str:
    return "equal" if count == claim else f"{count - claim:+,}"


def differing_modules(cost: Cost, claimed: dict[str, int]) -> list[str]:
    """Where the count is not the paper's, for papers that give it by module."""
    lines = []
    for start, claim in claimed.items():
        parts = [n for name, n in cost.params_by_module.items() if name == start or name.startswith(start + ".")]
        if sum(parts) != claim:
            lines.append(f"  {start}: {sum(parts):,}, paper {claim:,}: {_against(sum(parts), claim)}")
    return lines
