#!/bin/sh
# The pages of reports are opened in a real browser, headless; Debian has one in a package.
set -eu
for name in chromium chromium-browser google-chrome chrome; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "pages: installing chromium"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null
else
  echo "pages: Expected a browser, but there is none. Run: sudo apt-get install chromium" >&2
  exit 2
fi
