#!/usr/bin/env bash
# Runs a command with the Python environments of the tests, which it makes where they are missing or out of date:
#
#   test/with-python.sh [--all] COMMAND [ARGUMENT…]
#
# The Bittensor SDKs that ask the axon (test/e2e, test/interop) and, with --all, the training. Outside the tracked files, and
# an environment each, because each pins its own numpy. Without --all an environment that cannot be made is no error: what
# needs it skips and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
all=false
if [ "${1:-}" = --all ]; then all=true && shift; fi

environment() { # environment VENV REQUIREMENTS VARIABLE
  if ! cmp -s "$2" "$1/requirements.installed"; then
    echo "$1: installing $2" >&2
    python3 -m venv "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2" || return
    cp "$2" "$1/requirements.installed"
  fi
  export "$3=$PWD/$1/bin/python"
}

optional() { # optional VENV REQUIREMENTS VARIABLE
  environment "$@" || echo "$2 did not install: its tests skip" >&2
}

if $all; then
  environment .venv test/e2e/python/requirements.txt SYNTH_TEST_PYTHON
  environment .venv-train scripts/train/requirements.txt SYNTH_TRAIN_PYTHON
else
  optional .venv test/e2e/python/requirements.txt SYNTH_TEST_PYTHON
fi
optional .venv/newer test/interop/requirements-newer.txt SYNTH_TEST_PYTHON_NEWER
optional .venv/btauth test/interop/requirements-btauth.txt SYNTH_TEST_PYTHON_BTAUTH
exec "$@"
