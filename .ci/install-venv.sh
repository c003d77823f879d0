#!/bin/sh
# Debian and Ubuntu keep the part of Python that makes environments in a package of its own.
set -eu
package="python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "setup: installing $package, which this Python needs to make environments"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$package" >/dev/null
else
  echo "setup: Expected a Python that can make environments, but ensurepip is missing." \
    "Run: sudo apt-get install $package" >&2
  exit 2
fi
