#!/bin/bash
# long
# The daemon is killed (SIGKILL) at random moments of an fsync-heavy load, and sometimes while it mounts.
# After each mount that follows, every flushed write is there, and every sector is what one of the writes
# left there, in an order that happened. SEED=N repeats a run as far as timing allows, KILLS=N says how
# many kills a cipher gets.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse
STAMP=$BUILD/tests/stamp
[ -x "$STAMP" ] || skip_all 'needs make testtools'

SEED=${SEED:-$(date +%s)}
KILLS=${KILLS:-28}
RANDOM=$SEED
note "SEED=$SEED"

start_kmsd
make_key alias/demo
mkdir D
later release D

# A mount of V whose daemon is $DAEMON.
mount_it() {
	"$KMSVOL" mount "$V" D >mount.out 2>&1 || return
	DAEMON=$("$KMSVOL" status "$V" --json | jq .pid)
}

# Killed somewhere in the mount, which replays the log.
kill_mount() {
	"$KMSVOL" mount "$V" D --foreground >/dev/null 2>&1 &
	DAEMON=$!
	sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	release D
}

# One load, cut off after a random time; every $1th one while a checkpoint is written.
kill_load() {
	local threads=$((RANDOM % 3 == 0 ? 1 : 4)) load o f
	[ $((n % $1)) -ne 0 ] || threads=1
	"$STAMP" load D/disk journal "$threads" "$RANDOM$RANDOM" >load.out 2>&1 &
	load=$!
	if [ $((n % $1)) -eq 0 ]; then
		sleep 0.1 # what the mount writes to the map is older than this
		touch before
		wait_for 20 test "$V/map" -nt before && checkpoints=$((checkpoints + 1))
		sleep "0.0$((RANDOM % 5))$((RANDOM % 10))"
	else
		sleep "0.$((RANDOM % 5))$((RANDOM % 10))$((RANDOM % 10))"
	fi
	kill -KILL "$DAEMON"
	wait "$load" 2>/dev/null
	[ $? -ne 1 ] || bad="kill $n: wrong data while it ran: $(cat load.out)"
	# A load that was cut off before it had opened the disk tells nothing.
	read -r o f < <(sed -En 's/^([0-9]+) operations, ([0-9]+) of them.*/\1 \2/p' load.out; echo 0 0)
	operations=$((operations + o)) flushed=$((flushed + f))
	"$KMSVOL" unmount D >/dev/null 2>&1 || release D
}

run_cipher() {
	local cipher=$1 longest=0 began took bad=
	V=$DIR/$cipher
	make_volume "$V" --size 48M --cipher "$cipher"
	rm -f journal
	operations=0 flushed=0 checkpoints=0
	for ((n = 1; n <= KILLS; n++)); do
		if ! mount_it; then
			bad="kill $n: it does not mount: $(cat mount.out)"
			break
		fi
		kill_load "$2"
		[ -z "$bad" ] || break
		[ $((n % 4)) -ne 0 ] || kill_mount
		began=${EPOCHREALTIME/./}
		mount_it || {
			bad="kill $n: it does not mount again: $(cat mount.out)"
			break
		}
		took=$((${EPOCHREALTIME/./} - began))
		[ "$took" -le "$longest" ] || longest=$took
		"$STAMP" verify D/disk journal >verify.out 2>&1 || {
			bad="kill $n: $(cat verify.out) (load: $(cat load.out))"
			break
		}
		"$KMSVOL" unmount D || {
			bad="kill $n: no unmount"
			break
		}
	done
	note "$cipher: $operations operations, $flushed of them flushed; longest mount $((longest / 1000)) ms;" \
		"killed in $checkpoints checkpoints"
	if [ -z "$bad" ]; then
		pass "$cipher: all that was flushed survives $KILLS kills"
	else
		fail "$cipher: all that was flushed survives $KILLS kills" "$bad"
	fi
	ok "$cipher: the load was one" test "$flushed" -gt $((KILLS * 5))
	release D
}

run_cipher aes-256-gcm 7
run_cipher aes-256-xts 14
done_testing
