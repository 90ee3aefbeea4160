#!/usr/bin/env bash
# tools/gpu/gpu_check.py, from a clone that is not installed. WHEELS is a folder of what the machine
# lacks, PYTHON the interpreter with its PyTorch.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "${WHEELS:-}" ]; then
  packages="$PWD/output/gpu/packages"
  "$python" -m pip install --quiet --no-index --no-deps --upgrade --target "$packages" "$WHEELS"/*.whl
  PYTHONPATH="$PYTHONPATH:$packages"
fi
# The nvcc of the path may be a link into it, from which nobody finds its folder.
if [ -z "${CUDA_HOME:-}" ] && [ -x /usr/local/cuda/bin/nvcc ]; then export CUDA_HOME=/usr/local/cuda; fi
exec "$python" tools/gpu/gpu_check.py "$@"
