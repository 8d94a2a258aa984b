"""``bench fetch``: download the weights of the networks that metrics use."""

from bench.errors import DataError, ExitCode, UsageError
from bench.measure.metrics.weights import GROUPS, missing, weights_folder


def fetch_command(group: str) -> ExitCode:
    """Download a group of weights and print the result for each file.

    Returns:
        0; 2 if a download failed.

    Raises:
        UsageError: If ``group`` is unknown, or the packages that use the weights are not installed.
    """
    if group not in GROUPS:
        raise UsageError(f"bench fetch {group!r}: give {', '.join(GROUPS)}")
    reason = missing(*GROUPS[group])
    if reason is not None and "not installed" in reason:
        raise UsageError(reason)
    from bench.measure.metrics.fetch_weights import fetch  # imports torch, to read the archives

    print(f"target folder: {weights_folder()}", flush=True)
    code = ExitCode.OK
    for weights in GROUPS[group]:
        print(f"… {weights.name}: {weights.title}", flush=True)
        try:
            print(f"✓ {weights.name}: {fetch(weights)}", flush=True)
        except DataError as error:
            print(f"✗ {error}", flush=True)
            code = ExitCode.USAGE
    return code
