#!/usr/bin/env bash
# The C sources keep the format of .clang-format.
set -euo pipefail
cd "$(dirname "$0")/.."
format=$(command -v clang-format-14 || command -v clang-format)
git ls-files 'bpf/*.c' 'bpf/*.h' 'bpf/**/*.c' 'bpf/**/*.h' | sort -u | xargs "$format" --dry-run --Werror
