"""What ``bench fetch`` does."""

from bench.errors import DataError, ExitCode, UsageError
from bench.measure.weights import GROUPS, missing, weights_folder


def fetch_command(what: str) -> ExitCode:
    """Bring weights, say where from; 2 if some cannot be had.

    Raises:
        UsageError: If ``what`` is unknown, or the packages that use the weights are not installed.
    """
    if what not in GROUPS:
        raise UsageError(f"bench fetch {what!r}: give {', '.join(GROUPS)}")
    reason = missing(*GROUPS[what])
    if reason is not None and "not installed" in reason:
        raise UsageError(reason)
    from bench.measure.fetch_weights import fetch  # loads torch, which reads the archives

    print(f"into {weights_folder()}", flush=True)
    code = ExitCode.OK
    for weights in GROUPS[what]:
        print(f"… {weights.name}: {weights.title}", flush=True)
        try:
            print(f"✓ {weights.name}: {fetch(weights)}", flush=True)
        except DataError as error:
            print(f"✗ {error}", flush=True)
            code = ExitCode.USAGE
    return code
