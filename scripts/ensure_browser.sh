#!/usr/bin/env bash
# Make sure that a Chromium or Chrome is there for the browser tests; print its path.
# Uses one that is found (WAN_TEST_BROWSER, PATH, macOS applications); as root on Debian it installs Chromium;
# otherwise it says what to run, and fails. Never asks anything.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
packages=(chromium fonts-dejavu-core fonts-noto-cjk)

if browser=$("$python" -m tests.browser.chromium 2>/dev/null); then
  printf 'Browser: %s\n' "$browser"
  exit 0
fi
if [ -n "${WAN_TEST_BROWSER:-}" ]; then # the person chose one: no other is installed in its place
  "$python" -m tests.browser.chromium
fi
if ! command -v apt-get >/dev/null; then
  printf 'No Chromium or Chrome was found. Install one, or set WAN_TEST_BROWSER to its path, and run this again.\n' >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  printf 'No Chromium or Chrome was found. Install one, and run this again:\n\n  sudo apt-get update && ' >&2
  printf 'sudo apt-get install -y --no-install-recommends %s\n\n' "${packages[*]}" >&2
  printf 'or set WAN_TEST_BROWSER to the path of one.\n' >&2
  exit 1
fi
printf 'No Chromium or Chrome was found: installing %s\n' "${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq </dev/null
apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >/dev/null
"$python" -m tests.browser.chromium
