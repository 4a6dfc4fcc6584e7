#!/bin/bash
# Random I/O of all kinds and sizes on a volume's disk, compared with a model in memory: reads, private
# mappings, writes, zeroing, discarding, flushing, seeking; again after each remount, with two block sizes,
# and after a kill of the daemon that followed a flush. SEED=N repeats a run, OPS=N says how long a round is.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse
FSX=$BUILD/tests/fsx
[ -x "$FSX" ] || skip_all 'needs make testtools'

SEED=${SEED:-$(date +%s)}
OPS=${OPS:-1500}
note "SEED=$SEED"
start_kmsd
make_key alias/demo

# rounds VOL OPTION...: mounts and remounts of one volume, and one kill.
rounds() {
	local n
	make_volume "$@" --size 48M
	for n in 1 2 3; do
		mount_volume "$1" "$1.d"
		ok "$1: $OPS operations, round $n" "$FSX" "$1.d/disk" "$1.model" "$SEED$n" "$OPS"
		if [ "$n" -eq 2 ]; then
			sync "$1.d/disk"
			kill -KILL "$("$KMSVOL" status "$1" --json | jq .pid)"
			release "$1.d"
		else
			ok "$1: unmounts" "$KMSVOL" unmount "$1.d"
		fi
	done
	mount_volume "$1" "$1.d" --read-only
	ok "$1: all is there at the end" cmp "$1.d/disk" "$1.model"
	ok "$1: unmounts" "$KMSVOL" unmount "$1.d"
}

rounds small
rounds large --block-size 65536
rounds xts --cipher aes-256-xts --block-size 16K

# What the tool is worth: a byte that is not what was written is found.
mount_volume small small.d
printf 'x' | dd of=small.d/disk bs=1 seek=1234567 conv=notrunc status=none
not_ok 'one wrong byte is found' "$FSX" small.d/disk small.model 1 0
ok 'unmounts' "$KMSVOL" unmount small.d
done_testing
