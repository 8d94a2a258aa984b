"""What ``bench verify`` does: every count in a table, every problem in a line."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tabulate import tabulate

from bench.contract.jobs import JobData, JobSpec, Verification
from bench.contract.manifest import label_of
from bench.contract.records import Cost
from bench.contract.tracks import OFFICIAL, load_tracks, protocol_of
from bench.data.store import describe
from bench.errors import ExitCode
from bench.run.devices import choose_device, usable_cores
from bench.run.discovery import Found, discover, variants_of
from bench.run.executors.executor import LocalExecutor
from bench.run.executors.sandbox import choose_walls
from bench.run.runner import verify_in_process


def verify_command(
    paths: list[Path], variants: str, device: str, track_file: Path | None, sandbox: str = "auto"
) -> ExitCode:
    """Verify submissions and print what was found.

    Returns:
        0, or the gravest code of what is wrong.

    Raises:
        BenchError: If a path or option is wrong.
    """
    found, broken = discover(paths, load_tracks(track_file))
    chosen_device = choose_device(device)
    walls = choose_walls(sandbox, chosen_device)
    entries = [(submission, variant) for submission in found for variant in variants_of(submission, variants)]
    code, stop, executor = ExitCode.OK, threading.Event(), LocalExecutor(chosen_device, usable_cores())

    def verify(entry: tuple[Found, str]) -> Verification:
        return verify_in_process(executor, verification_spec(*entry, chosen_device), stop, walls)[0]

    with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        results = pool.map(verify, entries)
        verified: list[tuple[Found, str, Verification]] = []
        try:
            for (submission, variant), verification in zip(entries, results, strict=True):
                print(report_text(submission, variant, verification), end="\n\n", flush=True)
                verified.append((submission, variant, verification))
                if verification.problems:
                    broke_contract = verification.problems[0].status in ("cap", "contract")
                    code = max(code, ExitCode.CONTRACT if broke_contract else ExitCode.RUN_FAILED)
        except KeyboardInterrupt:
            stop.set()
            raise
    for _, error in broken:
        print(f"✗ {error}")
        code = max(code, error.exit_code)
    if len(verified) > 1:
        print(summary_text(verified), end="\n\n")
    wrong = sum(1 for _ in broken)
    print(f"{len(entries)} verified, {wrong} unreadable" if wrong else f"{len(entries)} verified")
    return code


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
    lines += [f"✗ {label}: {problem.message}" for problem in verification.problems]
    if not verification.problems:
        lines.append("✓ two training steps, strict rebuild from the weights, batch independence, checkpoint")
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
    rows = [(name, f"{count:,}") for name, count in cost.params_by_module.items()]
    rows.append(("total", f"{cost.params:,}"))
    table = tabulate(rows, headers=["module", "params"], colalign=("left", "right"), disable_numparse=True)
    cap, claims = found.track.caps.params, found.manifest.claims_of(variant)
    within = "" if cap is None else f", cap {cap:,}: {'within' if cost.params <= cap else 'EXCEEDED'}"
    paper = "" if claims.params is None else f", paper {claims.params:,}: {_against(cost.params, claims.params)}"
    stored = f"{cost.stored_scalars:,} stored scalars at inference"
    stored += f" ({cost.inference_buffers:,} in buffers, {cost.inference_plain:,} in plain attributes)"
    evaluations = f" in {cost.evaluations_per_sample:,} evaluations" if cost.evaluations_per_sample > 1 else ""
    lines = [
        table,
        f"{cost.params:,} params{within}{paper}",
        *differing_modules(cost, claims.params_by_module),
        stored,
        f"{cost.macs_per_image / 1e6:,.2f} MMACs an image{evaluations}, "
        f"{cost.training_flops_per_step / 1e9:,.2f} GFLOPs a training step (1 MAC = 2 FLOPs)",
    ]
    if cost.uncounted_operators:
        lines.append(f"not in the MACs: {', '.join(sorted(cost.uncounted_operators))}")
    return lines


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
