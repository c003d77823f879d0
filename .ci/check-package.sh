#!/bin/sh
# Build the wheel, install it into an environment of its own away from the checkout, and use it there.
set -eu
python=$1
top=$(pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "package: building"
rm -rf dist
"$python" -m build --no-isolation --outdir dist . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel=$(ls dist/*.whl)

echo "package: installing $wheel elsewhere"
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet -c constraints.txt pip
"$work/venv/bin/python" -m pip install --quiet --progress-bar off -c constraints.txt --group test-bare "$wheel"

echo "package: using it without the checkout"
cp -r tests "$work/tests"
cp pyproject.toml train.py "$work/"
cp -r examples "$work/examples"
cd "$work"
venv/bin/leyden --version
venv/bin/leyden train model=cnn data=auto trainer.max_epochs=2 trainer.enable_progress_bar=false
venv/bin/leyden inspect data/digits
OMP_NUM_THREADS=1 venv/bin/python -m pytest -q -n 2 --dist loadfile tests -o testpaths=tests
cd "$top"
echo "package: dist/ is good"
