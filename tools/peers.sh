#!/bin/sh
# Makes an environment of its own with the libraries the bench compares with, and leaves .venv as it is.
#   tools/peers.sh [FOLDER]                             FOLDER defaults to build/peers
#   build/peers/bin/karussell bench layers --quick
# Without it the bench runs all the same; rows of peers that are not installed say "not measured".
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-$root/build/peers}
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install -q -U "pip>=25.3"
# torch first, by itself: with the pinned build there, no peer can pull another one
"$folder/bin/pip" install -q -c "$root/constraints.txt" torch
"$folder/bin/pip" install -q -c "$root/constraints.txt" --build-constraint "$root/constraints.txt" -e "$root"
"$folder/bin/pip" install -q -c "$root/constraints.txt" "torchrecurrent>=0.2.5" "onnxruntime>=1.20"
"$folder/bin/pip" install -q -c "$root/constraints.txt" "kenlm-ex>=0.2.1"
"$folder/bin/python" -c "import onnxruntime, torchrecurrent, karussell, torch; print('ready: torch', torch.__version__)"
