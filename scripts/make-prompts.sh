#!/bin/sh
# Makes the prompts of the shipped scenarios: 8 kHz mono WAV, spoken by SVOX Pico.
#
#   scripts/make-prompts.sh [FILE.yaml...]      without files: every scenario in scenarios/
#
# The words are those that the scenario files give. Needs python3 with venv; the first run fetches the Python
# packages ttspico and numpy into ~/.cache/sidetone. SIDETONE names the program, PROMPTS_DIR the folder to fill.
set -eu
cd "$(dirname "$0")/.."

venv="${XDG_CACHE_HOME:-$HOME/.cache}/sidetone/prompts-venv"
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
"$venv/bin/python" -c 'import numpy, ttspico' 2>/dev/null ||
    "$venv/bin/pip" install --quiet ttspico==0.3.2 numpy setuptools

[ $# -gt 0 ] || set -- scenarios/*.yaml
${SIDETONE:-cargo run --quiet --no-default-features --} --json scenario prompts "$@" |
    "$venv/bin/python" scripts/speak.py "${PROMPTS_DIR:-scenarios/prompts}"
