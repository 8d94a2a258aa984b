#!/usr/bin/env bash
# Install bubblewrap, and make it work: Ubuntu from 23.10 on refuses user namespaces to programs without an AppArmor
# profile that allows them. GitHub's machines are used for one job, in which every process may become root anyway, so
# the restriction is lifted there. On a machine of your own this is for you to decide, see docs/reliability.md.
set -euo pipefail

if [ "$SANDBOX" = none ] || [ "$RUNNER_OS" != Linux ]; then
    exit 0
fi
if ! command -v bwrap > /dev/null; then
    sudo apt-get update -qq
    sudo apt-get install -y -qq --no-install-recommends bubblewrap
fi
setting=kernel.apparmor_restrict_unprivileged_userns
if ! bwrap --unshare-pid --unshare-net --ro-bind / / true && [ "$RUNNER_ENVIRONMENT" = github-hosted ]; then
    sudo sysctl -w "$setting=0"
fi
