#!/usr/bin/env bash
# A real S3 server for tests: one Ceph monitor, one OSD and one RADOS Gateway on this machine, without systemd.
#
#   rgw.sh start DIR [S3_PORT] [MONITOR_PORT]   create DIR or go on with it; returns when S3 answers
#   rgw.sh stop  DIR                            TERM, after ten seconds KILL
#   rgw.sh crash DIR [rgw|osd|mon|all]          KILL
#
# RGW_STORE=memstore keeps objects in memory (two seconds to start, gone with its process); the default, bluestore, keeps
# them in a file of DIR and survives KILL (six seconds). RGW_OWNER=PID: everything is killed when that process is gone.
# Needs: apt-get install radosgw ceph-mon ceph-osd
set -euo pipefail

command=${1:?start, stop or crash}
dir=${2:?a folder}
s3_port=${3:-7480}
monitor_port=${4:-6790}
store=${RGW_STORE:-$(cat "$dir/store" 2>/dev/null || echo bluestore)}
access_key=${RGW_ACCESS_KEY:-test-access-key}
secret_key=${RGW_SECRET_KEY:-test-secret-key}
conf="$dir/ceph.conf"

alive() { [ -s "$dir/run/$1.pid" ] && kill -0 "$(cat "$dir/run/$1.pid")" 2>/dev/null; }

spawn() { # NAME COMMAND...: in a session of its own, so that the terminal's signals do not reach it
  local name=$1
  shift
  setsid "$@" </dev/null >>"$dir/log/$name.out" 2>&1 &
  echo $! >"$dir/run/$name.pid"
}

watch_owner() { # one watcher for each start; `crash` and `stop` end it
  [ -n "${RGW_OWNER:-}" ] || return 0
  spawn owner "$0" watch "$dir" "$RGW_OWNER"
}

watch() {
  while kill -0 "$1" 2>/dev/null; do sleep 1; done
  rm -f "$dir/run/owner.pid"
  crash all
}

write_conf() {
  cat >"$conf" <<CONF
[global]
fsid = $(cat "$dir/fsid")
mon_host = v2:127.0.0.1:$monitor_port
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv4 = true
ms_bind_ipv6 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_supported = none
auth_allow_insecure_global_id_reclaim = false
# The gateway's own default is 'secure', which cannot work without cephx.
ms_mon_client_mode = crc
mon_client_hunt_interval = 0.3
mon_client_hunt_interval_max_multiple = 2
objecter_tick_interval = 0.25
objecter_timeout = 1
ms_max_backoff = 0.5
mon_tick_interval = 1
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
log_file = $dir/log/\$name.log
log_to_stderr = false
mon_cluster_log_file = $dir/log/cluster.log
crash_dir = $dir/crash
keyring = $dir/keyring
debug_ms = 0/0
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
# After KILL of the OSD a placement group waits out the old read lease, 0.8 of this (default: 20 s).
osd_heartbeat_grace = 2
mon_max_pg_per_osd = 1000

[mon]
mon_data = $dir/mon
mon_initial_members = a
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_data_avail_crit = 1
mon_data_avail_warn = 1

[osd]
osd_data = $dir/osd
osd_objectstore = $store
osd_journal_size = 128
bluestore_block_size = ${RGW_BLOCK_BYTES:-34359738368}
bluestore_block_create = true
bluestore_cache_autotune = false
bluestore_cache_size = 268435456
osd_memory_target = 1073741824
memstore_device_bytes = 8589934592
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 2
osd_scrub_begin_hour = 0
osd_scrub_load_threshold = 0
# A killed gateway leaves watches behind, for which the creation of a bucket waits (default: 30 s).
osd_client_watch_timeout = 3
osd_default_notify_timeout = 3
osd_class_load_list = *
osd_class_default_list = *

[client]
rgw_frontends = beast endpoint=127.0.0.1:$s3_port tcp_nodelay=1
rgw_thread_pool_size = 64
rgw_data = $dir/rgw
rgw_run_sync_thread = false
rgw_enable_gc_threads = true
rgw_enable_usage_log = false
rgw_enable_quota_threads = false
rgw_max_put_size = 5368709120
rgw_rados_pool_pg_num_min = 4
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
# The room of deleted objects comes back in seconds instead of two hours.
rgw_gc_obj_min_wait = 2
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
CONF
}

start() {
  # Memory is gone with the process that held it: begin anew.
  if [ "$(cat "$dir/store" 2>/dev/null)" = memstore ] && ! alive osd; then
    for name in rgw mon; do alive $name && kill -9 "$(cat "$dir/run/$name.pid")" || true; done
    rm -rf "$dir"/{fsid,mon,osd,rgw,run}
  fi
  mkdir -p "$dir"/{mon,osd,rgw,log,run,crash}
  local new=0
  if [ ! -s "$dir/fsid" ]; then
    new=1
    cat /proc/sys/kernel/random/uuid >"$dir/fsid"
    echo "$s3_port $monitor_port" >"$dir/ports"
    echo "$store" >"$dir/store"
    write_conf
    : >"$dir/keyring"
    monmaptool --create --clobber --fsid "$(cat "$dir/fsid")" --addv a "[v2:127.0.0.1:$monitor_port]" "$dir/monmap" >/dev/null
    ceph-mon -c "$conf" --mkfs -i a --monmap "$dir/monmap"
  else
    read -r s3_port monitor_port <"$dir/ports"
  fi
  alive mon || spawn mon ceph-mon -c "$conf" -f -i a --public-addr "v2:127.0.0.1:$monitor_port"
  if [ $new = 1 ]; then
    local uuid
    uuid=$(cat /proc/sys/kernel/random/uuid)
    timeout 30 ceph -c "$conf" osd new "$uuid" 0 >/dev/null
    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$uuid" >>"$dir/log/osd.mkfs" 2>&1
  fi
  alive osd || spawn osd ceph-osd -c "$conf" -f -i 0
  if [ $new = 1 ]; then
    timeout 60 radosgw-admin -c "$conf" -n client.rgw user create --uid=test --display-name=test \
      --access-key="$access_key" --secret-key="$secret_key" >"$dir/log/user.json" 2>>"$dir/log/admin.err"
  fi
  alive rgw || spawn rgw radosgw -c "$conf" -f -n client.rgw
  alive owner || watch_owner
  for _ in $(seq 300); do
    curl -s -o /dev/null "http://127.0.0.1:$s3_port/" && return
    alive rgw || { echo "the gateway died, see $dir/log" >&2; exit 1; }
    sleep 0.1
  done
  echo "no answer, see $dir/log" >&2
  exit 1
}

stop() {
  if alive owner; then kill "$(cat "$dir/run/owner.pid")" || true; fi
  for name in rgw osd mon; do
    alive $name && kill "$(cat "$dir/run/$name.pid")" || true
    for _ in $(seq 100); do alive $name || break; sleep 0.1; done
    alive $name && kill -9 "$(cat "$dir/run/$name.pid")" || true
    rm -f "$dir/run/$name.pid"
  done
}

crash() {
  local which=$1
  [ "$which" = all ] && which="owner rgw osd mon"
  for name in $which; do
    alive "$name" && kill -9 "$(cat "$dir/run/$name.pid")" || true
    rm -f "$dir/run/$name.pid"
  done
}

case $command in
start) start ;;
stop) stop ;;
crash) crash "${3:-all}" ;;
watch) watch "${3:?a process}" ;;
*) echo "no command $command: start, stop or crash" >&2; exit 2 ;;
esac
