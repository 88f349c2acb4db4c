#!/bin/bash
# All that a GPU lent for a few minutes is asked, in one call: the speed of a step, then grid files in the order given.
# Needs torch, timm, lightning, torchmetrics, numba, pandas, seaborn and tyro, but neither dask nor jupyter.
#
#   bash benchmarks/gpu.sh OUT MINUTES [GRID.toml ...]      PRESET=tiny tries it out on a CPU, BENCH= leaves out the speed
#
# OUT gets train-NETWORK.json, log.txt and records.tar, to which each run is added as it finishes (no models). It ends
# after MINUTES, finished or not; called again where results/ still lies, it goes on.
set -uo pipefail
out=$1 minutes=$2
shift 2
end=$((SECONDS + $(awk "BEGIN { print int($minutes * 60) }")))
mkdir -p "$out"
exec > >(tee -a "$out/log.txt") 2>&1
python=${PYTHON:-python3}
export PYTHONUNBUFFERED=1 PYTHONPATH=${PYTHONPATH:-}:.

# The evaluator is compiled once, before anything is timed, and not by every training at the same time.
$python -m cmr train --preset tiny --out "${TMPDIR:-/tmp}/cmr-warm" --rerun >/dev/null
for network in ${BENCH-resnet50 vgg16}; do
  options=(--preset "${PRESET:-paper}" --rounds 3 --steps 5 --out "$out/train-$network.json")
  [ "${PRESET:-paper}" = tiny ] || options+=(--backbone "$network")
  timeout 150 $python -m benchmarks.train "${options[@]}" || echo "benchmarks.train $network: status $?"
done

if [ $# -gt 0 ]; then
  seconds=$((end - SECONDS - 10))
  $python -m study.pool "$@" --out results --minutes "$(echo "$seconds" | awk '{print $1 / 60}')" \
    --processes "${PROCESSES:-5}" --threads "${THREADS:-3}" --pack "$out/records.tar"
fi
