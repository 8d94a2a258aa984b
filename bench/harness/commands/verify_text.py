"""The text that ``bench verify`` prints."""

from collections.abc import Sequence

from tabulate import tabulate

from bench.contract.jobs.reports import Verification
from bench.contract.manifest import label_of
from bench.contract.records.caps import counts_of
from bench.contract.records.record import Cost
from bench.contract.tracks import OFFICIAL
from bench.harness.submissions.discovery import SubmissionSource
from bench.text import one_line

Verified = tuple[SubmissionSource, str, Verification]  # with the name of the variant
REASON = 60  # maximum characters of a problem in the table of several submissions


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


def report_text(submission: SubmissionSource, variant: str, verification: Verification) -> str:
    """Format the verification of one (submission, variant)."""
    label = label_of(submission.name, variant)
    lines = [f"{label} ({submission.track.name})"]
    if verification.cost is not None:
        lines += _cost_lines(submission, variant, verification.cost)
        lines += _cap_lines(submission, variant, verification)
    lines += _remarks(label, verification)
    if not verification.problems:
        lines.append(f"✓ {', '.join(verification.tested)}")
    return "\n".join(lines)


def line_text(submission: SubmissionSource, variant: str, verification: Verification) -> str:
    """Format the verification of one (submission, variant) in a line, with a line for each problem and warning."""
    label, cost = label_of(submission.name, variant), verification.cost
    lines = _remarks(label, verification)
    if not verification.problems and cost is not None:
        lines.insert(0, f"✓ {label}: {cost.params:,} params, {mmacs(cost)} MMACs")
    return "\n".join(lines)


def _remarks(label: str, verification: Verification) -> list[str]:
    return [
        *(
            f"! {label}: over the cap or budget, so it is measured but never ranked: {line}"
            for line in verification.over_caps
        ),
        *(f"! {label}: {line}" for line in verification.warnings),
        *(f"✗ {label}: {problem.message}" for problem in verification.problems),
    ]


def mmacs(cost: Cost) -> str:
    """Return the millions of multiply-accumulates per image."""
    return f"{cost.bound}{cost.macs_per_image / 1e6:,.2f}"


def summary_text(verified: Sequence[Verified]) -> str:
    """Format all verifications as one table, with the papers' parameter counts if there are any."""
    claims = [submission.manifest.claims_of(variant).params for submission, variant, _ in verified]
    has_claims = any(claim is not None for claim in claims)
    rows = []
    for (submission, variant, verification), claim in zip(verified, claims, strict=True):
        cost, cap = verification.cost, submission.track.caps.params
        params, macs = ("–", "–") if cost is None else (f"{cost.params:,}", mmacs(cost))
        paper = "–" if claim is None else f"{claim:,}"
        difference = "–" if claim is None or cost is None else _difference(cost.params, claim)
        compared = (paper, difference) if has_claims else ()
        limit = "none" if cap is None else f"{cap:,}"
        rows.append([label_of(submission.name, variant), params, *compared, limit, macs, _status(verification)])
    headers = ["submission", "params", *(("paper", "") if has_claims else ()), "cap", "MMACs", "verified"]
    align = ["left", "right", *(("right", "left") if has_claims else ()), "right", "right", "left"]
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


def _status(verification: Verification) -> str:
    if verification.problems:
        reason = verification.problems[0].message
        return f"✗ {reason}" if len(reason) <= REASON else f"✗ {reason[: REASON - 1]}…"
    return "over, unranked" if verification.over_caps else "✓"


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
        f"{mmacs(cost)} MMACs per image{evaluations}{by_fvcore}; "
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
