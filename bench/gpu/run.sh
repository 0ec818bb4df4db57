#!/usr/bin/env bash
# Every check that needs a GPU, in one command of under nine minutes: correctness first, then rates, then one step at
# full size. It needs torch, Triton, pytest and click, and nothing installed from here. Tables go to the screen, records
# to $OUT or bench/results/. A part that outlasts its seconds is stopped and costs no other its turn:
#   the kernels' tests 90, four benchmarks 25 each, the full-size step $BUDGET (320) and its own measurement of the GPU.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
records="${OUT:-bench/results}"
commit="${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}"
budget="${BUDGET:-320}"
mkdir -p "$records"
failed=0

part() {  # seconds, command
    timeout "$1" "${@:2}" || { echo "failed or out of time: ${*:2}" >&2; failed=1; }
}

part 90 python3 -m pytest -q -m gpu tests/kernels

for operator in depthwise_inject joint_attention; do
    for dtype in float16 bfloat16; do
        part 25 python3 -m "dit4sr.kernels.$operator.benchmark" --dtype "$dtype" \
            --record "$records/$operator-$dtype-$commit.json"
    done
done

part $((budget + 25)) python3 -m dit4sr.bench.gpu.full_size_step \
    --budget "$budget" --record "$records/full-size-step-$commit.json"
exit "$failed"
