#!/usr/bin/env bash
# Installs what building needs on Debian and its kin; does nothing where it is all there.
#
#   scripts/setup.sh          what `make demo` needs
#   scripts/setup.sh npm      and npm, which some speech models come through
#   scripts/setup.sh tests    and PostgreSQL, which the tests start a server of their own of
#
# Works as root or with sudo; otherwise it prints the line to run. Never touches rustup or a cargo it finds new enough.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
RUSTUP='curl --proto "=https" --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y'

say() { printf 'setup: %s\n' "$*" >&2; }
stop() {
    say "$*"
    exit 1
}

# Debian packages behind what is missing, by what is missing: a machine may have it from elsewhere.
missing_packages() {
    local packages=()
    command -v cmake >/dev/null || packages+=(cmake)
    command -v c++ >/dev/null || packages+=(g++)
    command -v make >/dev/null || packages+=(make)
    command -v git >/dev/null || packages+=(git)
    command -v pkg-config >/dev/null || packages+=(pkg-config)
    command -v python3 >/dev/null || packages+=(python3)
    python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || packages+=(python3-venv)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)
    if [ "${1:-}" = npm ] && ! command -v npm >/dev/null; then packages+=(npm); fi
    if [ "${1:-}" = tests ] && ! has_postgres; then packages+=(postgresql); fi
    echo "${packages[@]}"
}

has_postgres() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

install() {
    local as=() line="apt-get install -y --no-install-recommends $*"
    command -v apt-get >/dev/null || stop "missing: $*. Install them with this system's package manager, then run this again."
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || stop "missing: $*. Run as root: apt-get update && $line"
        as=(sudo)
    fi
    say "installing $*"
    "${as[@]}" apt-get update -qq
    # shellcheck disable=SC2086 # the line's words are the arguments
    "${as[@]}" env DEBIAN_FRONTEND=noninteractive $line >/dev/null
}

# Whether a `cargo 1.95.0 (...)` and its rustc are as new as Cargo.toml asks for.
is_new_enough() {
    local have
    for program in cargo rustc; do
        have=$(cd "$root" && "$program" --version 2>/dev/null | cut -d' ' -f2) || return 1
        [ -n "$have" ] || return 1
        [ "$(printf '%s\n' "$wanted" "${have%%-*}" | sort -V | head -n 1)" = "$wanted" ] || return 1
    done
}

debian_offers_rust() {
    command -v apt-cache >/dev/null || return 1
    local have
    # A fresh machine has no package lists, and then nothing seems to be on offer.
    if [ "$(id -u)" = 0 ]; then apt-get update -qq || true; fi
    have=$(apt-cache policy cargo-web 2>/dev/null | sed -n 's/.*Candidate: //p')
    [ -n "$have" ] && [ "$have" != '(none)' ] || return 1
    [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]
}

packages=$(missing_packages "${1:-}")
# shellcheck disable=SC2086 # one word a package
if [ -n "$packages" ]; then install $packages; fi

export PATH="$HOME/.cargo/bin:$PATH"
if ! is_new_enough; then
    found=$(cargo --version 2>/dev/null || echo 'no cargo')
    if debian_offers_rust; then
        install cargo-web rustc-web
    fi
    # The line needs curl, which a small system lacks.
    if ! is_new_enough && ! command -v curl >/dev/null; then install curl; fi
    is_new_enough || stop "Rust $wanted or newer is needed ($found). Install it with this line, then run this again:
$RUSTUP"
fi
