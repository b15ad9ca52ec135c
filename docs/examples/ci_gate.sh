#!/usr/bin/env bash
# A gate for any continuous integration: the new file against the old one, in one job on this machine.
#
#   ci_gate.sh NEW.onnx OLD.onnx
#
# Ends with 3 if the new file is slower beyond chance; writes gate.xml (JUnit) and summary.md.
set -euo pipefail

new=${1:?the new file}
old=${2:?the old file}

edgebench deploy "$new" --baseline "$old" --target "${TARGET:-desktop-cpu}" --plan "${PLAN:-default}" --wait \
  --fail-if "latency_p50 > ${LIMIT:-1.05}" \
  --fail-if "size > 1.1" \
  --junit gate.xml --summary summary.md
