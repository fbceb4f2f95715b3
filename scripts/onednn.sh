#!/usr/bin/env bash
# Fetches oneDNN (the library CTranslate2 is fastest with) as two prebuilt Python wheels into a cache outside the
# clone, and points cargo at it through a git-ignored .cargo/config.toml.
#
#   scripts/onednn.sh        prints `onednn` or `ruy`: the backend the build should take
#
# Nothing here is needed to build: without oneDNN, CTranslate2 is built with ruy alone. What went wrong is said on
# stderr. SIDETONE_BACKEND=ruy skips all of it.
set -euo pipefail

VERSION=2023.2.0
LIBRARY_WHEEL_SHA256=2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb
HEADERS_WHEEL_SHA256=9763c69e8c907e119056bd52ad918ca84ac9ba939d130a99dfa95ccca3e5e284

root=$(cd "$(dirname "$0")/.." && pwd)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/sidetone/onednn"
config="$root/.cargo/config.toml"
mark='# Written by scripts/onednn.sh'

say() { printf 'onednn: %s\n' "$*" >&2; }

# A configuration of the user's own is left alone; one of ours that points nowhere would break the build.
fall_back() {
    say "$1; building with ruy instead (slower, same results)"
    if [ -f "$config" ] && head -n 1 "$config" | grep -qF "$mark"; then rm -f "$config"; fi
    echo ruy
    exit 0
}

[ "${SIDETONE_BACKEND:-onednn}" = onednn ] || fall_back "SIDETONE_BACKEND=${SIDETONE_BACKEND:-}"
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fall_back "no prebuilt library for $(uname -s) $(uname -m)"

fetch() {
    local work="$1"
    # --only-binary and --platform: the wheels are the same whatever Python runs pip.
    python3 -m pip download --quiet --no-deps --disable-pip-version-check --only-binary=:all: \
        --dest "$work" "onednn-cpu-gomp==$VERSION" "onednn-devel-cpu-gomp==$VERSION" >&2 || return 1
    (
        cd "$work"
        echo "$LIBRARY_WHEEL_SHA256  $(echo onednn_cpu_gomp-*.whl)" | sha256sum --check --quiet
        echo "$HEADERS_WHEEL_SHA256  $(echo onednn_devel_cpu_gomp-*.whl)" | sha256sum --check --quiet
    ) >&2 || return 1
    python3 - "$work" <<'PY' || return 1
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
# The wheel holds the same 54 MB library under three names: one is taken, the others become links.
for wheel in sorted(work.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            inside = name.partition(".data/data/")[2]
            keep = inside.startswith("include/") or inside == "lib/libdnnl.so.3.2" or inside.endswith("/LICENSE")
            if keep:
                target = work / "tree" / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
PY
    ln -s libdnnl.so.3.2 "$work/tree/lib/libdnnl.so.3"
    ln -s libdnnl.so.3 "$work/tree/lib/libdnnl.so"
}

tree="$cache/$VERSION"
if [ ! -f "$tree/lib/libdnnl.so" ] || [ ! -f "$tree/include/oneapi/dnnl/dnnl.hpp" ]; then
    say "fetching onednn-cpu-gomp $VERSION (39 MB)"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    fetch "$work" || fall_back "the wheels could not be fetched"
    rm -rf "$tree"
    mv "$work/tree" "$tree"
fi

if [ -f "$config" ] && ! head -n 1 "$config" | grep -qF "$mark"; then
    grep -q 'dnnl\]' "$config" || fall_back "$config is yours and does not name oneDNN"
    echo onednn
    exit 0
fi

mkdir -p "$root/.cargo"
cat > "$config.new" <<TOML
$mark: where cargo finds oneDNN. Delete it to build with ruy.
[target.x86_64-unknown-linux-gnu.dnnl]
rustc-link-lib = ["dnnl"]
rustc-link-search = ["$tree/lib"]
ROOT = "$tree"
INCLUDE_PATH = "$tree/include"
LIBRARY_PATH = "$tree/lib"
TOML
# Left as it is when nothing changed: cargo rebuilds for a newer configuration.
if cmp -s "$config.new" "$config"; then rm "$config.new"; else mv "$config.new" "$config"; fi
echo onednn
