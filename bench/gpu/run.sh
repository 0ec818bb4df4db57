#!/usr/bin/env bash
# Every check that needs a GPU, in one command: correctness first, then rates. It needs torch, Triton and pytest, and
# nothing installed from here. Tables go to the screen, records to $OUT or bench/results/.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/.types${PYTHONPATH:+:$PYTHONPATH}"
records="${OUT:-bench/results}"
commit="${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}"
mkdir -p "$records"

python3 -m pytest -q -m gpu tests/kernels

for operator in depthwise_inject joint_attention; do
    for dtype in float16 bfloat16; do
        python3 -m "dit4sr.kernels.$operator.benchmark" --dtype "$dtype" \
            --record "$records/$operator-$dtype-$commit.json"
    done
done
