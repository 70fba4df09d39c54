#!/usr/bin/env bash
# What the tests need of the system, from the packages of Debian: Ceph's RADOS Gateway, which is an S3 server, and
# chromium, a browser.
#
#   install.sh [--required]    exit 0 if it is there now, or (without --required) if it cannot be had and that was said
set -euo pipefail

required=no
[ "${1:-}" = --required ] && required=yes

as_root=()
obstacle=
if ! command -v apt-get >/dev/null; then
  obstacle="no apt-get here"
elif [ "$(id -u)" != 0 ]; then
  as_root=(sudo -n)
  sudo -n true 2>/dev/null || obstacle="installing takes root or sudo without a password"
fi

missing() { for command in "$@"; do command -v "$command" >/dev/null || echo "$command"; done; }

apt_install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@" >/dev/null
}

provide() { # WHAT MARK PACKAGES COMMANDS
  local what=$1 mark=$2 why=$obstacle
  local -a packages commands
  read -ra packages <<<"$3"
  read -ra commands <<<"$4"
  [ -n "$(missing "${commands[@]}")" ] || return 0
  if [ -z "$why" ]; then
    echo "services: installing ${packages[*]}"
    # An index of packages that is old, or was never fetched, does not know where they are.
    apt_install "${packages[@]}" 2>/dev/null || { "${as_root[@]}" apt-get update --quiet >/dev/null &&
      apt_install "${packages[@]}"; } || why="apt-get failed"
    [ -n "$why$(missing "${commands[@]}")" ] || return 0
    why=${why:-"still missing: $(missing "${commands[@]}" | tr '\n' ' ')"}
  fi
  echo "services: no $what for the tests marked $mark: $why. Install it with: apt-get install ${packages[*]}" >&2
  [ $required = no ] || exit 1
  echo "services: those tests will be skipped" >&2
}

provide "S3 server" s3 "radosgw ceph-mon ceph-osd curl" "radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool curl"
provide "browser" browser chromium chromium
