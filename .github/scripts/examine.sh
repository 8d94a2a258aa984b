#!/usr/bin/env bash
# Run `bench ci` with the action's inputs; set the step's outputs, and add the report to the job's summary. Fails only
# if there is no report, as the action's last step fails for what the report has.
set -euo pipefail

case "$SUBMISSIONS" in
    changed) options=() ;;
    all) options=(--all) ;;
    *) echo "::error::submissions: give changed or all" && exit 2 ;;
esac
case "$SMOKE" in
    true) ;;
    false) options+=(--no-smoke) ;;
    *) echo "::error::smoke: give true or false" && exit 2 ;;
esac
if [ -n "$BASE" ]; then
    options+=("--base=$BASE")
fi
folder=$RUNNER_TEMP/capbench-report
rm -rf "$folder"

# Until the line with the token, GitHub takes no line of the output for a command to it.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
code=0
PYTHONSAFEPATH=1 bench ci "${options[@]}" --fail-on="$FAIL_ON" --sandbox="$SANDBOX" \
    --report "$folder/report.md" --junit "$folder/junit.xml" || code=$?
echo "::$token::"

if [ ! -f "$folder/report.md" ]; then
    echo "::error::bench ci ended without a report; the lines above say why"
    exit "$((code > 0 ? code : 1))"
fi
cat "$folder/report.md" >> "$GITHUB_STEP_SUMMARY"
{
    echo "passed=$([ "$code" = 0 ] && echo true || echo false)"
    echo "exit-code=$code"
    echo "report=$folder/report.md"
    echo "junit=$folder/junit.xml"
} >> "$GITHUB_OUTPUT"
