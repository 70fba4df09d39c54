#!/usr/bin/env bash
# The S3 server of the tests: Ceph's RADOS Gateway, from the packages of Debian.
#
#   install.sh [--required]    exit 0 if it is there now, or (without --required) if it cannot be had and that was said
set -euo pipefail

packages=(radosgw ceph-mon ceph-osd)
commands=(radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool curl)

missing() { for command in "${commands[@]}"; do command -v "$command" >/dev/null || echo "$command"; done; }

give_up() { # WHY
  echo "services: no S3 server for the tests marked s3: $1. Install it with: apt-get install ${packages[*]}" >&2
  [ $required = no ] || exit 1
  echo "services: those tests will be skipped" >&2
  exit 0
}

required=no
[ "${1:-}" = --required ] && required=yes

[ -n "$(missing)" ] || exit 0
command -v apt-get >/dev/null || give_up "no apt-get here"
if [ "$(id -u)" = 0 ]; then
  as_root=()
elif sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
else
  give_up "installing takes root or sudo without a password"
fi
echo "services: installing ${packages[*]}"
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
    "${packages[@]}" curl >/dev/null
}
# An index of packages that is old, or was never fetched, does not know where they are.
install 2>/dev/null || { "${as_root[@]}" apt-get update --quiet >/dev/null && install; } || give_up "apt-get failed"
[ -z "$(missing)" ] || give_up "still missing: $(missing | tr '\n' ' ')"
echo "services: $(radosgw --version)"
