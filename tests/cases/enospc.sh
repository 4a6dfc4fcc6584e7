#!/bin/bash
# The disk below the volume fills up: writers get ENOSPC, what was flushed stays, and when room is made
# writing goes on, without a new mount. The same with no room at unmount and at mount.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_root
need_fuse
STAMP=$BUILD/tests/stamp
DIFF=$BUILD/tests/diskdiff
[ -x "$STAMP" ] || skip_all 'needs make testtools'
expect_stderr '.'

start_kmsd
make_key alias/demo
mkdir D BACK

full() {
	dd if=/dev/zero of=BACK/fill bs=64K status=none 2>/dev/null
	dd if=/dev/zero of=BACK/fill2 bs=1 status=none 2>/dev/null
}

# Write until it fails: 1 MiB at a time from place $1 of IMAGE on, which keeps what D/disk has to show.
# Sets $written to the number of MiB, and $said.
fill_disk() {
	written=0
	while [ "$written" -lt 300 ]; do
		dd if=/dev/urandom of=piece bs=1M count=1 status=none
		said=$(dd if=piece of=D/disk bs=1M seek=$(($1 + written)) conv=notrunc,fsync 2>&1) || return
		dd if=piece of=IMAGE bs=1M seek=$(($1 + written)) conv=notrunc status=none
		written=$((written + 1))
	done
}

# What a refused write of one MiB at place $1 left may be there or not: take it as it is.
accept() {
	dd if=D/disk of=IMAGE bs=1M skip="$1" seek="$1" count=1 conv=notrunc status=none
}

try() {
	local kind=$1
	dd if=/dev/zero of=BACK/ballast bs=1M count=24 status=none
	dd if=/dev/zero of=BACK/small_ballast bs=1M count=8 status=none
	dd if=/dev/zero of=BACK/last_ballast bs=1M count=2 status=none
	sync -f BACK
	make_volume BACK/V --size 1G
	mount_volume BACK/V D
	rm -f IMAGE
	truncate -s 1G IMAGE

	fill_disk 0
	ok "$kind: the disk filled up" test "$written" -gt 20 -a "$written" -lt 200
	like "$kind: the writer was told" "$said" 'No space left on device'
	accept "$written"
	local first=$written
	refused_again=$(dd if=piece of=D/disk bs=1M seek=$((written + 1)) conv=notrunc,fsync 2>&1)
	like "$kind: and again" "$refused_again" 'No space left on device'
	accept $((written + 1))
	ok "$kind: all that was acknowledged reads" "$DIFF" compare D/disk IMAGE
	is "$kind: it is available" "$("$KMSVOL" status D --json | jq -r .state)" available

	rm BACK/ballast
	sync -f BACK
	fill_disk 500
	ok "$kind: with more room writing goes on, without a new mount" test "$written" -gt 10
	accept $((500 + written))
	ok "$kind: all is there" "$DIFF" compare D/disk IMAGE

	full
	sync -f BACK
	ok "$kind: with no byte free it unmounts" timeout 60 "$KMSVOL" unmount D
	full
	files=$(find BACK/V | sort)
	said=$(timeout 60 "$KMSVOL" mount BACK/V D 2>&1)
	if [ $? -eq 0 ]; then
		pass "$kind: with no byte free it mounts"
		ok "$kind: and reads" "$DIFF" compare D/disk IMAGE
		not_ok "$kind: but does not write" dd if=piece of=D/disk bs=1M conv=notrunc,fsync status=none
		accept 0
		"$KMSVOL" unmount D
	else
		like "$kind: with no byte free the mount is refused" "$said" \
			"^kmsvol: volume '[^']*V': .*No space left on device"
		# Besides, where there is no room to note the grant of the attachment, that is said.
		is "$kind: in one line" "$(grep -vc 'will have to be revoked by hand' <<<"$said")" 1
		not_ok "$kind: and nothing is mounted" mountpoint -q D
		is "$kind: the refused mount left no file" "$(find BACK/V | sort)" "$files"
	fi
	mount_volume BACK/V D --read-only
	ok "$kind: read-only, it mounts and reads" "$DIFF" compare D/disk IMAGE
	ok "$kind: and unmounts" "$KMSVOL" unmount D
	rm BACK/fill BACK/fill2 BACK/small_ballast
	sync -f BACK
	mount_volume BACK/V D
	ok "$kind: with room again it mounts, and all is there" "$DIFF" compare D/disk IMAGE
	ok "$kind: and it writes" dd if=piece of=D/disk bs=1M seek="$first" conv=notrunc,fsync status=none

	# Killed with no room left: the replay has to do without.
	dd if=piece of=IMAGE bs=1M seek="$first" conv=notrunc status=none
	full
	kill -KILL "$("$KMSVOL" status D --json | jq .pid)"
	ok "$kind: a dead daemon is cleared away" "$KMSVOL" unmount D
	said=$(timeout 60 "$KMSVOL" mount BACK/V D 2>&1)
	[ $? -eq 0 ] || like "$kind: killed with no byte free: refused or mounted" "$said" \
		"^kmsvol: volume '[^']*V': .*No space left on device"
	"$KMSVOL" unmount D 2>/dev/null
	rm BACK/fill BACK/fill2 BACK/last_ballast
	sync -f BACK
	mount_volume BACK/V D
	ok "$kind: killed with no byte free, nothing is lost" "$DIFF" compare D/disk IMAGE
	ok "$kind: at last it unmounts" "$KMSVOL" unmount D
	umount BACK
}

# The load that knows what it flushed, with a disk that fills up and is given room again and again.
churn() {
	local n bad=
	make_volume BACK/V --size 64M
	for n in 1 2 3 4; do
		mount_volume BACK/V D
		dd if=/dev/zero of=BACK/ballast bs=1M count=$((20 * n)) status=none 2>/dev/null
		timeout 3 "$STAMP" load D/disk journal 4 "$n" >load.out 2>&1
		[ $? -ne 1 ] || bad="round $n: $(cat load.out)"
		"$STAMP" verify D/disk journal >verify.out 2>&1 || bad="round $n, mounted: $(cat verify.out)"
		[ $((n % 2)) -eq 0 ] || kill -KILL "$("$KMSVOL" status D --json | jq .pid)"
		"$KMSVOL" unmount D
		rm -f BACK/ballast
		mount_volume BACK/V D
		"$STAMP" verify D/disk journal >verify.out 2>&1 || bad="round $n: $(cat verify.out)"
		"$KMSVOL" unmount D
	done
	is 'tmpfs: a load on a disk that fills up loses nothing that was flushed' "$bad" ''
	umount BACK
}

truncate -s 120M backing.img
mkfs.ext4 -q -F backing.img
later umount -l "$DIR/BACK"
mount -o loop backing.img BACK || skip_all 'cannot mount a loop device'
try ext4
mount -t tmpfs -o size=100M tmpfs BACK || skip_all 'cannot mount a tmpfs'
try tmpfs
mount -t tmpfs -o size=160M tmpfs BACK
churn
done_testing
