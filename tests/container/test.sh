#!/usr/bin/env bash
# Builds env/Containerfile and runs a small sweep in it without a network. `make test-container` calls this, as root on Debian 12.
#
# It needs Debian's buildah, debootstrap, iproute2 and python3, and installs what is missing. The base is made by debootstrap, so
# that no registry of images is needed. Steps run by chroot, so that a machine which is a container itself will do. pip gets
# this machine's configuration for the build alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
for package in buildah debootstrap iproute2 python3; do
  dpkg -s $package >/dev/null 2>&1 || { echo "installing $package"; apt-get update -qq; apt-get install -y -qq --no-install-recommends $package; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/study-container-XXXXXX")
export BUILDAH_ISOLATION=chroot
buildah() { command buildah --root "$work/store" --runroot "$work/run" "$@"; }
cleanup() { buildah rm --all >/dev/null 2>&1 || true; rm -rf "$work"; }
trap cleanup EXIT

SECONDS=0
step() { echo "$(printf %4d $SECONDS) s  $1"; }
. /etc/os-release; echo "$PRETTY_NAME, $(command buildah --version), debootstrap $(debootstrap --version | cut -d' ' -f2)"

debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log"
container=$(buildah from scratch)
buildah add -q "$container" "$work/base" / >/dev/null
buildah commit -q --rm "$container" localhost/base >/dev/null
rm -rf "$work/base"
step "a base is made"

# One file with what pip is told by files and by variables, and each path of this disk that it names.
mounts=("--volume=$work/pip.conf:/etc/pip.conf:ro")
{ python3 -m pip config list 2>/dev/null || true; } | python3 tests/container/pip_config.py "$work/pip.conf" /of-this-machine >"$work/paths"
while read -r path; do mounts+=("--volume=$path:/of-this-machine$path:ro"); done <"$work/paths"
buildah build --layers=false "${mounts[@]}" --build-arg BASE=localhost/base --build-arg COMMIT="$(git rev-parse HEAD)" \
  -f env/Containerfile -t localhost/coupling . >"$work/build.log" 2>&1 || { tail -50 "$work/build.log"; exit 1; }
step "the image is built"

container=$(buildah from localhost/coupling)
cp tests/container/small.yaml "$work/small.yaml"; chmod a+r "$work/small.yaml"; chmod a+rx "$work"
# A network of its own holds nothing but this machine's own address, by which the parts of a notebook's kernel talk.
inside() { unshare --net -- bash -c "$(declare -f buildah); work=$work; ip link set lo up; buildah run --volume=$work/small.yaml:/small.yaml:ro $container -- \"\$@\"" - "$@"; }
inside sh -c 'test "$(id -u)" != 0 && test -z "$(env | grep -iE "token|secret|password")"'
inside sh -c '! python3 -c "import socket; socket.create_connection((\"1.1.1.1\", 53), 3)" 2>/dev/null'
inside sh -c 'sed "s/==.*//; s/ .*//" env/torch.txt | xargs pip show >/dev/null'
inside make study SWEEP=/small.yaml JOBS=1
inside coupling status --profile tiny --sweep /small.yaml
inside sh -c 'cat results/tiny/hint_qa-*/manifest.json | grep -c "\"git_commit\": \"[0-9a-f]\{40\}\""'
step "a sweep is run in it, without a network and as user $(inside id -un)"
