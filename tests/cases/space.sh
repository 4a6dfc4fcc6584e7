#!/bin/bash
# Space comes back: what is discarded or overwritten leaves the disk below the volume, and on a full disk overwriting
# goes on as long as there is something dead.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_root
need_fuse
DIFF=$BUILD/tests/diskdiff
[ -x "$DIFF" ] || skip_all 'needs make testtools'

start_kmsd
make_key alias/demo
mkdir BACK D

# MiB that the segments take.
used() {
	echo $(($(du -s --block-size=1K BACK/V/segments | cut -f 1) / 1024))
}
used_at_most() {
	[ "$(used)" -le "$1" ]
}
status() {
	"$KMSVOL" status D --json | jq -r ".$1"
}

mount -t tmpfs -o size=600M tmpfs BACK || skip_all 'cannot mount a tmpfs'
later umount -l "$DIR/BACK"
make_volume BACK/V --size 1G
mount_volume BACK/V D

ok 'write 200 MiB' dd if=/dev/urandom of=D/disk bs=1M count=200 conv=notrunc status=none
ok 'the disk has them' test "$(used)" -ge 200
is 'as live bytes' "$(($(status live_bytes) >> 20))" 200
is 'nothing is pinned' "$(status pinned_bytes)" 0
ok 'discard them' fallocate --punch-hole --offset 0 --length 200M D/disk
ok 'the disk has the space back within seconds' wait_for 15 used_at_most 2
is 'nothing is mapped' "$(status mapped_bytes)" 0

# A volume whose data takes a third of the disk, overwritten with three times the disk.
truncate -s 1G IMAGE
bad=
for n in 1 2 3 4 5 6 7 8 9; do
	dd if=/dev/urandom of=piece bs=1M count=200 status=none
	dd if=piece of=D/disk bs=1M conv=notrunc,fsync status=none 2>err || bad="round $n: $(cat err)"
	dd if=piece of=IMAGE bs=1M conv=notrunc status=none
done
is 'overwriting never finds the disk full' "$bad" ''

# Now the disk is full but for what the cleaner can win.
fallocate -l "$(($(df -P --block-size=1 BACK | awk 'NR == 2 { print $4 }') - (90 << 20)))" BACK/ballast
for n in $(seq 40); do
	at=$((RANDOM % 190))
	dd if=piece of=D/disk bs=256K skip=$n seek=$((at * 4)) count=20 conv=notrunc,fsync status=none 2>err ||
		bad="write $n: $(cat err)"
	dd if=piece of=IMAGE bs=256K skip=$n seek=$((at * 4)) count=20 conv=notrunc status=none
done
is 'nor does it with little room left' "$bad" ''
ok 'the cleaner was at work' test "$(status cleaned_segments)" -gt 0
like 'and says what it costs' "$(status write_amplification)" '^[1-9][0-9]*(\.[0-9]+)?$'
like 'in words too' "$("$KMSVOL" status D)" '^moved_bytes: +[1-9]'
ok 'all is there' "$DIFF" compare D/disk IMAGE
kill -KILL "$(status pid)"
"$KMSVOL" unmount D
mount_volume BACK/V D
ok 'after a kill, too' "$DIFF" compare D/disk IMAGE
rm BACK/ballast
ok 'at rest the files are at most a quarter more than the data, and the log'"'"'s end' wait_for 30 used_at_most 251
ok 'it unmounts' "$KMSVOL" unmount D
done_testing
