#!/bin/bash
# alone: a sync(2) that waits is the whole machine's, and it measures times
# A file system on a volume that has lost its key and lets I/O wait, with writers and a sync(2) that wait in the
# kernel: whatever ends the machine ends them too. umount -f, SIGTERM and SIGKILL to the daemon, unmount --force, and
# what an init does: TERM to all, KILL to all, then unmount. What was synced before is there afterwards.
. "$(dirname "$0")/../lib/case.sh"
need_root
need aws jq curl losetup findmnt
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'

expect_stderr .
start_kmsd
make_key alias/demo
make_volume V --size 256M
mkdir D
later release D
disable() { post DisableKey "{\"KeyId\":\"$KEY_ARN\"}"; }
enable() { post EnableKey "{\"KeyId\":\"$KEY_ARN\"}"; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# A writer and a sync that wait for the key; their processes are in WRITER and SYNC.
begin() {
	"$KMSVOL" mount V D --fs ext4 --check-interval 100ms || exit 1
	DAEMON=$("$KMSVOL" status V --json | jq .pid)
	FUSE=$(findmnt -n -o TARGET -S "$DIR/V" -t fuse.kmsvol)
	LOOP=$(findmnt -n -o SOURCE "$DIR/D")
	echo "before $1" >"D/before-$1"
	sync "D/before-$1"
	disable
	ok "$1: the key is lost" wait_for 15 state_is V inaccessible-encryption-credentials-recoverable
	dd if=/dev/urandom of="D/after-$1" bs=64k count=64 conv=fsync 2>/dev/null &
	WRITER=$!
	later end_process $WRITER
	sync -f D 2>/dev/null &
	SYNC=$!
	later end_process $SYNC
	sleep 0.5 # they wait at the gate, or in front of a frozen file system
	not_ok "$1: the writer waits" gone $WRITER
	not_ok "$1: a sync waits" gone $SYNC
	BEGUN=$(now_ms)
}

# All have ended soon, and everything can be taken away.
finish() {
	ok "$1: the daemon ends" wait_for 15 gone "$DAEMON"
	ok "$1: the sync ends" wait_for 15 gone $SYNC
	ok "$1: the writer ends" wait_for 15 gone $WRITER
	ok "$1: within 5 s, took $(($(now_ms) - BEGUN)) ms" test $(($(now_ms) - BEGUN)) -le 5000
	mountpoint -q D && ok "$1: the file system can be unmounted" timeout 20 umount D
	mountpoint -q "$FUSE" && ok "$1: so can the volume" timeout 20 umount "$FUSE"
	timeout 20 "$KMSVOL" unmount V >/dev/null 2>&1 # its record, where it was not its daemon that ended
	not_ok "$1: nothing is mounted" grep -q -e " $DIR/D " -e "^$DIR/V " /proc/self/mounts
	ok "$1: the loop device is free" wait_for 10 sh -c "! losetup '$LOOP' 2>/dev/null | grep -q '$FUSE'"
	enable
	mount_volume V D --fs ext4 --check-interval 100ms
	is "$1: what was synced is there" "$(cat "D/before-$1")" "before $1"
	ok "$1: and can be unmounted" timeout 30 "$KMSVOL" unmount D
}

begin force
ok 'force: kmsvol unmount --force' timeout 30 "$KMSVOL" unmount --force D
finish force

begin umount-f
timeout 20 umount -f "$FUSE" 2>/dev/null # busy, as the loop device is there; but it ends the connection
finish umount-f

begin TERM
kill -TERM "$DAEMON"
finish TERM

begin KILL
kill -KILL "$DAEMON"
finish KILL

begin init
kill -TERM "$WRITER" "$DAEMON" "$SYNC"
wait_for 5 gone "$DAEMON"
kill -KILL "$WRITER" "$DAEMON" "$SYNC" 2>/dev/null
finish init
done_testing
