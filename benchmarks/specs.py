"""What benchmarks run of submissions."""

from bench.contract.jobs import JobSpec
from bench.contract.tracks import load_tracks
from bench.files import REPOSITORY
from bench.run.discovery import discover
from bench.run.verify_command import verification_spec


def spec_of(name: str, **fields: object) -> JobSpec:
    """A submission at its official budget, on the CPU; ``fields`` replace those of the specification."""
    (found,), _ = discover([REPOSITORY / "submissions" / name], load_tracks())
    return verification_spec(found, "base", "cpu").model_copy(update=fields)
