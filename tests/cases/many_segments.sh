#!/bin/bash
# A volume that has been mounted often has a segment for each mount with a block still in use: more files than
# the soft limit allows.
. "$(dirname "$0")/../lib/case.sh"
need_fuse
need aws jq

start_kmsd
make_key
make_volume V
mkdir mnt
later release mnt
ulimit -S -n 32

# mount_and_write N: mount, write N into block N, unmount.
mount_and_write() {
	"$KMSVOL" mount V mnt &&
		printf 'block %d' "$1" | dd of=mnt/disk bs=4096 seek="$1" conv=notrunc status=none &&
		"$KMSVOL" unmount mnt
}

for i in $(seq 40); do
	ok "mount $i" mount_and_write "$i" || break
done
like 'there are more segments than files the soft limit allows' "$(ls V/segments | wc -l)" '^(3[3-9]|4[0-9])$'
ok 'it mounts' "$KMSVOL" mount V mnt
is 'and gives what was written first' "$(dd if=mnt/disk bs=4096 skip=1 count=1 status=none | head -c 7)" 'block 1'
ok 'it unmounts' "$KMSVOL" unmount mnt
done_testing
