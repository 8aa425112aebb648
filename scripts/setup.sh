#!/usr/bin/env bash
# Installs what a fresh Debian 12 machine needs to build, test and show Intact. Safe to run again: it does what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }
need clang-14 clang-14
need llvm-strip-14 llvm-14
need clang-format-14 clang-format-14
need openssl openssl
need gcc gcc
need python3 python3
need node nodejs
need npm npm
need git git
need chromium chromium
command -v bpftool >/dev/null 2>&1 || [ -x /usr/sbin/bpftool ] || packages+=(bpftool)
[ -e /usr/include/bpf/libbpf.h ] || packages+=(libbpf-dev)
[ -e /usr/include/zlib.h ] || packages+=(zlib1g-dev)
# documents in two languages, which the tests and the benchmark of the knowledge search ask about
[ -e /usr/share/debian-reference/ch09.en.html ] || packages+=(debian-reference-en)
[ -e /usr/share/debian-reference/ch09.zh-cn.html ] || packages+=(debian-reference-zh-cn)
python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
if [ ${#packages[@]} -gt 0 ]; then
    if [ "$(id -u)" != 0 ]; then
        say "missing system packages: ${packages[*]}; install them: sudo apt-get install ${packages[*]}"
        exit 1
    fi
    say "installing system packages: ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq "${packages[@]}" >/dev/null
fi

stamp=.venv/.installed
wanted=$(cat requirements.txt pyproject.toml | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
    say "installing Python packages into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    printf '%s' "$wanted" >"$stamp"
fi

say "building kernel objects and loader"
make -s -C bpf

say "agents for demo and tests"
.venv/bin/python -m tests.agents.install
