#!/bin/bash
# long
# The key of a volume with a file system (mount --fs) is lost, and then something ends: the daemon or its keeper is
# killed, all are told to end as for a reboot, it is unmounted. Nobody is left waiting, nothing mounted, no loop
# device, and the file system is clean. And: a keeper that is too late, and a key that is lost again at once.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/fs.sh"
need_root
need aws jq curl mkfs.ext4 mkfs.xfs mkfs.btrfs
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'

RECOVERABLE=inaccessible-encryption-credentials-recoverable
expect_stderr .
start_kmsd
make_key alias/demo
mkdir D RAW
later release D

# Who waits: a read of what is not cached, a write, an open.
start_waiting() {
	waiting=()
	cat D/file >/dev/null 2>&1 9<&- &
	waiting+=($!)
	(echo more >&9) 2>/dev/null &
	waiting+=($!)
	(exec 9<&-; mkdir D/new) 2>/dev/null &
	waiting+=($!)
	exec 9>&-
	for pid in "${waiting[@]}"; do later kill -KILL "$pid"; done
	sleep 0.3
}
nobody_waits() {
	local pid
	for pid in "${waiting[@]}"; do gone "$pid" || return 1; done
}

# lose FS REACTION [OPTION]...: a volume with a file, which then loses its key.
lose() {
	fs=$1
	rm -rf V
	make_volume V --size 512M
	ID=$(jq -r .id V/volume.json)
	need_ok "$what: mounts" "$KMSVOL" mount V D --fs "$fs" --on-key-loss "$2" --check-interval 200ms "${@:3}"
	head -c 3000000 /dev/urandom >D/file
	sha256sum <D/file >sum
	sync -f D
	exec 9>>D/log
	PID=$(status_of pid)
	disable
	need_ok "$what: unreachable" wait_for 30 state_is V "${lost:-$RECOVERABLE}"
}

# With the key it mounts, has the file, and is clean.
intact() {
	enable
	ok "$what: mounts again" "$KMSVOL" mount V D --fs "$fs"
	ok "$what: the file is there" cmp sum <(sha256sum <D/file)
	ok "$what: unmounts" "$KMSVOL" unmount D
	ok "$what: the file system is clean" check_fs
}

killed() {
	what="$1, the daemon is killed"
	lose "$1" hang
	start_waiting
	kill -KILL "$PID"
	ok "$what: nobody waits" wait_for 15 nobody_waits
	ok "$what: unmounts" timeout 60 "$KMSVOL" unmount D
	nothing_left "$what"
	intact
}

told_to_end() {
	what="$1, all are told to end"
	lose "$1" hang
	start_waiting
	kill -TERM "${waiting[@]}" "$PID" "$(keeper)"
	ok "$what: nobody waits" wait_for 15 nobody_waits
	ok "$what: the daemon ends" wait_for 30 gone "$PID"
	nothing_left "$what"
	intact
}

forced() {
	what="$1, unmount --force"
	lose "$1" hang
	start_waiting
	refused 1 'its KMS key is lost and its I/O waits' "$KMSVOL" unmount D
	# The first ends the waiting; who waited may still have it in use then.
	"$KMSVOL" unmount --force D >/dev/null 2>&1
	ok "$what: nobody waits" wait_for 15 nobody_waits
	wait_for 20 sh -c "! mountpoint -q D || '$KMSVOL' unmount --force D"
	nothing_left "$what"
	intact
}

shut() {
	what="$1 error, unmount"
	lose "$1" error
	start_waiting
	ok "$what: nobody waits" wait_for 15 nobody_waits
	ok "$what: unmounts" timeout 60 "$KMSVOL" unmount D
	nothing_left "$what"
	intact
}

for end in killed told_to_end forced shut; do $end ext4; done
for end in killed forced; do $end xfs; done
for end in told_to_end shut; do $end btrfs; done

what='the keeper is killed'
lose xfs hang
start_waiting
kill -KILL "$(keeper)"
enable
ok "$what: back all the same" wait_for 30 state_is V available
ok "$what: nobody waits" wait_for 15 nobody_waits
ok "$what: the file is there" cmp sum <(sha256sum <D/file)
is "$what: what waited is there" "$(cat D/log)" more
rmdir D/new
# ... and again, with the daemon.
disable
ok "$what: lost once more" wait_for 30 state_is V $RECOVERABLE
start_waiting 9>>/dev/null
kill -KILL "$(keeper)" "$PID"
ok "$what, and the daemon: unmounts" timeout 60 "$KMSVOL" unmount D
ok "$what, and the daemon: nobody waits" wait_for 15 nobody_waits
nothing_left "$what, and the daemon"
intact

what='umount in the outage'
lose ext4 hang
exec 9>&-
ok "$what" umount D
enable
ok "$what: the volume is back" wait_for 30 state_is V available
ok "$what: unmounts" "$KMSVOL" unmount V
nothing_left "$what"
intact

what='a keeper that is late'
lose ext4 hang --write-down 1ms
ok "$what: is told" fs_event late
exec 9>&-
enable
ok "$what: the volume is back" wait_for 30 state_is V available
ok "$what: and the file system" timeout 20 sh -c 'echo x >D/x && sync -f D'
ok "$what: the file is there" cmp sum <(sha256sum <D/file)
ok "$what: unmounts" timeout 30 "$KMSVOL" unmount D
nothing_left "$what"
intact

for reaction in hang error read-only; do
	what="$reaction, lost again and again"
	[ $reaction = read-only ] && lost=read-only
	lose ext4 $reaction --write-down 500ms
	exec 9>&-
	for n in 1 2 3 4 5 6 7 8; do
		enable
		sleep "0.$((RANDOM % 5))"
		disable
		sleep "0.$((RANDOM % 5))"
	done
	enable
	ok "$what: back" wait_for 30 state_is V available
	ok "$what: the file system, too" wait_for 20 sh -c 'echo x >D/x && sync -f D'
	ok "$what: the file is there" cmp sum <(sha256sum <D/file)
	is "$what: one loop device" "$(grep -l "$ID" /sys/block/loop*/loop/backing_file | wc -l)" 1
	ok "$what: unmounts" timeout 30 "$KMSVOL" unmount D
	nothing_left "$what"
	intact
done
done_testing
