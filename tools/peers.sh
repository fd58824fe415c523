#!/bin/sh
# Makes an environment of its own with the libraries the bench compares with, and leaves .venv as it is.
#   tools/peers.sh [FOLDER [DECODERS]]                  build/peers and build/ctc-peers if not given
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

# Decoders for `bench ctc`, in an environment of their own: one of them needs an old numpy. The bench runs in ours and
# speaks to them through a pipe; it finds them in build/ctc-peers, or where KARUSSELL_CTC_PEERS says.
decoders=${2:-$root/build/ctc-peers}
"${PYTHON:-python3}" -m venv "$decoders"
"$decoders/bin/pip" install -q -U "pip>=25.3"
"$decoders/bin/pip" install -q "pyctcdecode==0.5.0" "numpy<2" "flashlight-text==0.0.7" "kenlm-ex>=0.2.1" "fast-ctc-decode>=0.3.6"
"$decoders/bin/python" -c "import fast_ctc_decode, flashlight.lib.text.decoder, kenlm, pyctcdecode; print('ready: decoders')"
