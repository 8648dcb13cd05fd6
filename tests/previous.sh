#!/usr/bin/env bash
# Builds the program of the commit that last changed what services say to each other, which is named
# in `wire-commit` beside this file, and prints where it is.
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$(cat tests/wire-commit)
tree=target/previous/$commit
# A file: what an interrupted build left has a directory of that name.
if [ ! -f "$tree/millwright" ]; then
    git cat-file -e "$commit^{commit}" 2>/dev/null ||
        { echo "commit $commit is not here: fetch the whole history" >&2; exit 1; }
    mkdir -p "$tree"
    git archive "$commit" | tar -x -C "$tree"
    (cd "$tree" && CARGO_TARGET_DIR="$PWD/../../previous-build" cargo build -q -p millwright) >&2
    cp target/previous-build/debug/millwright "$tree/millwright.new"
    find "$tree" -mindepth 1 -maxdepth 1 ! -name millwright.new -exec rm -rf {} +
    mv "$tree/millwright.new" "$tree/millwright"
fi
echo "$PWD/$tree/millwright"
