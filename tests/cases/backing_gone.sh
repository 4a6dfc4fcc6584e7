#!/bin/bash
# The directory of a mounted volume goes away: moved, removed, or its file system lazily unmounted or shut
# down. I/O goes on with the open files or fails; nothing hangs; unmounting works; and where the directory
# comes back, so does what was flushed.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse
DIFF=$BUILD/tests/diskdiff
[ -x "$DIFF" ] || skip_all 'needs make testtools'
expect_stderr '.'

start_kmsd
make_key alias/demo
mkdir D

# write_at MIB [OPTION]: one random MiB, flushed, and into IMAGE as well when that worked.
write_at() {
	dd if=/dev/urandom of=piece bs=1M count=1 status=none
	timeout 20 dd if=piece of=D/disk bs=1M seek="$1" conv=notrunc,fsync status=none || return
	dd if=piece of=IMAGE bs=1M seek="$1" conv=notrunc status=none
}

# begin DIR: a volume there, mounted, with something in it.
begin() {
	make_volume "$1" "${@:2}"
	mount_volume "$1" D --check-interval 1s
	rm -f IMAGE
	truncate -s 64M IMAGE
	write_at 3 && write_at 7 || exit 1
	PID=$("$KMSVOL" status D --json | jq .pid)
}

# What an operation does may differ, but it ends: by itself, not by the time limit.
ends() {
	local code
	timeout 20 "${@:2}" >/dev/null 2>&1
	code=$?
	ok "$1: it ends" test "$code" -ne 124
}

dead() {
	! kill -0 "$PID" 2>/dev/null || grep -q '^State:.Z' "/proc/$PID/status"
}

still_serves() {
	ok "$1: the mount still says its status" timeout 20 cat D/status
	ends "$1: a write" write_at 9
	ends "$1: a read" dd if=D/disk of=/dev/null bs=1M count=10
	ok "$1: what is read is right" timeout 60 "$DIFF" compare D/disk IMAGE
}

unmounts() {
	ok "$1: it unmounts" timeout 40 "$KMSVOL" unmount D || release D
	not_ok "$1: nothing is mounted" mountpoint -q D
	ok "$1: the daemon is gone" wait_for 10 dead
}

# --- moved, and moved back
begin V
mv V MOVED
still_serves moved
unmounts moved
mv MOVED V
mount_volume V D
ok 'moved back: everything is there' "$DIFF" compare D/disk IMAGE
write_at 11

# --- moved, and killed there
PID=$("$KMSVOL" status D --json | jq .pid)
mv V MOVED
write_at 13
kill -KILL "$PID"
wait_for 10 dead
"$KMSVOL" unmount D 2>/dev/null || release D
not_ok 'killed after the move: nothing is mounted' mountpoint -q D
mount_volume MOVED D
ok 'killed after the move: all is there under the new name' "$DIFF" compare D/disk IMAGE
ok 'and it unmounts' "$KMSVOL" unmount D

# --- removed
begin V2
rm -r V2
still_serves removed
unmounts removed
refused 1 "^kmsvol: volume 'V2': No such file or directory" "$KMSVOL" mount V2 D

# --- another volume is put in its place
begin V3
mv V3 MOVED3
make_volume V3
still_serves 'replaced by another'
unmounts 'replaced by another'
mount_volume V3 D
is 'the other one is as it was' "$("$KMSVOL" status D --json | jq -r .volume_id)" "$(jq -r .id V3/volume.json)"
ok 'and blank' cmp -n 67108864 D/disk /dev/zero
"$KMSVOL" unmount D
mount_volume MOVED3 D
ok 'and the first has what it had' "$DIFF" compare D/disk IMAGE
"$KMSVOL" unmount D

[ "$(id -u)" -eq 0 ] || done_testing

# --- its file system lazily unmounted, and mounted again
mkdir BACK
truncate -s 200M backing.img
mkfs.ext4 -q -F backing.img
later umount -l "$DIR/BACK"
if mount -o loop backing.img BACK; then
	begin BACK/V
	umount -l BACK
	still_serves 'lazily unmounted'
	unmounts 'lazily unmounted'
	mount -o loop backing.img BACK
	mount_volume BACK/V D
	ok 'lazily unmounted: all is there at the next mount' "$DIFF" compare D/disk IMAGE
	"$KMSVOL" unmount D
fi

# --- its file system shut down, as after a failure of the disk: writes fail and stay failed
if mkfs.xfs -q -f backing2.img -d file,size=320m 2>/dev/null && mkdir BACK2 &&
	later umount -l "$DIR/BACK2" && mount -o loop backing2.img BACK2; then
	begin BACK2/V
	xfs_io -x -c shutdown BACK2 || fail 'xfs shut down'
	not_ok 'disk failed: a flush is refused' timeout 20 dd if=piece of=D/disk bs=1M seek=20 conv=notrunc,fsync status=none
	not_ok 'disk failed: the next too' timeout 20 dd if=piece of=D/disk bs=1M seek=20 conv=notrunc,fsync status=none
	ends 'disk failed: a read' dd if=D/disk of=/dev/null bs=1M count=10
	ok 'disk failed: the status is there' timeout 20 cat D/status
	unmounts 'disk failed'
	umount BACK2
	mount -o loop backing2.img BACK2
	mount_volume BACK2/V D
	# The refused write may be there or not.
	dd if=D/disk of=IMAGE bs=1M skip=20 seek=20 count=1 conv=notrunc status=none
	ok 'disk failed: all that was flushed is there at the next mount' "$DIFF" compare D/disk IMAGE
	"$KMSVOL" unmount D
fi
done_testing
