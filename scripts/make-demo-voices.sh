#!/bin/sh
# Makes the demo callees' lines (src/sim/demo/words.json): 8 kHz mono WAV, spoken by SVOX Pico.
# The other recordings in that folder are not made here; its LICENSE.md says where they come from.
set -eu
cd "$(dirname "$0")/.."

venv="${XDG_CACHE_HOME:-$HOME/.cache}/sidetone/prompts-venv"
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import numpy, ttspico' 2>/dev/null ||
    "$venv/bin/pip" install --quiet ttspico==0.3.2 numpy setuptools

"$venv/bin/python" scripts/speak.py src/sim/demo < src/sim/demo/words.json
