#!/bin/bash
# long
# ext4, xfs and btrfs on a volume whose daemon is killed (SIGKILL) again and again in the middle of a load:
# to the file system it is as if the power went. It mounts again, its own checker finds nothing, and every
# file that was written and flushed before the kill is there, whole. SEED=N repeats a run as far as timing
# allows, ROUNDS=N says how many kills a file system gets.
. "$(dirname "$0")/../lib/case.sh"
need_root
need aws jq losetup
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'

SEED=${SEED:-$(date +%s)}
ROUNDS=${ROUNDS:-7}
RANDOM=$SEED
note "SEED=$SEED"
start_kmsd
make_key alias/demo
mkdir D RAW

mount_it() {
	"$KMSVOL" mount V D --fs "$fs" >mount.out 2>&1 &&
		DAEMON=$("$KMSVOL" status V --json | jq .pid)
}

# Files that name what they must hold, some overwritten, some renamed into place, some removed. A name goes
# to `flushed` when fsync of the file and of its directory has returned, to `gone` before it is removed.
load() {
	local n dir name
	for ((n = 0; ; n++)); do
		dir=D/$((RANDOM % 5)) name=r$round-w$1-$n
		mkdir -p "$dir" &&
			yes "$name" 2>/dev/null | head -c $((RANDOM * 8 + 1)) >"$dir/$name.new" &&
			sync "$dir/$name.new" && mv "$dir/$name.new" "$dir/$name" && sync "$dir" &&
			echo "$dir/$name" >>"flushed.$1" || return
		if [ $((RANDOM % 4)) -eq 0 ]; then
			echo "$dir/$name" >>"gone.$1"
			rm "$dir/$name"
		fi
	done 2>/dev/null
}

# All files that were flushed before a kill and not removed are what their name says. What a file system
# says of a flush when its disk has gone is its own affair.
files_are_there() {
	local file
	sort -u flushed.before 2>/dev/null >flushed
	cat gone.* 2>/dev/null | sort >gone
	comm -23 flushed gone | while read -r file; do
		if [ ! -s "$file" ]; then
			echo "$file is missing or empty"
		elif ! yes "${file##*/}" 2>/dev/null | head -c "$(stat -c %s "$file")" | cmp -s - "$file"; then
			echo "$file holds something else"
		fi
	done | head -n 5
}

check() {
	"$KMSVOL" mount V RAW --read-only >check.out 2>&1 || return
	"$@" >>check.out 2>&1
	local code=$?
	"$KMSVOL" unmount RAW && return "$code"
}

try() {
	local size=$2 bad='' wrong worker pids count
	fs=$1
	need "mkfs.$fs"
	grep -qw "$fs" /proc/filesystems || modprobe "$fs" 2>/dev/null || {
		note "the kernel knows no $fs"
		return
	}
	rm -rf V flushed* gone*
	make_volume V --size "$size"
	later release "$DIR/D"
	later release "$DIR/RAW"
	for ((round = 1; round <= ROUNDS; round++)); do
		mount_it || {
			bad="round $round: no mount: $(cat mount.out)"
			break
		}
		wrong=$(files_are_there)
		[ -z "$wrong" ] || {
			bad="round $round: $wrong"
			break
		}
		rm -f flushed.[1-3]
		pids=()
		for worker in 1 2 3; do
			load "$worker" &
			pids+=($!)
		done
		wait_for 20 sh -c "[ \$(cat flushed.[1-3] 2>/dev/null | wc -l) -gt 5 ]" || bad="round $round: no load"
		sleep "0.$((RANDOM % 7))$((RANDOM % 10))"
		cat flushed.[1-3] >>flushed.before
		kill -KILL "$DAEMON"
		wait "${pids[@]}"
		release D
		[ -z "$bad" ] || break
		# The journal is replayed by a mount; what the checker sees then must be clean.
		mount_it && "$KMSVOL" unmount D >>mount.out 2>&1 || bad="round $round: no mount: $(cat mount.out)"
		[ -n "$bad" ] || check "${@:3}" || bad="round $round: $(head -n 20 check.out)"
		[ -z "$bad" ] || break
	done
	if [ -z "$bad" ]; then
		mount_it && bad=$(files_are_there)
		"$KMSVOL" unmount D
	fi
	count=$(wc -l <flushed.before)
	note "$fs: $count files were flushed"
	if [ -z "$bad" ]; then
		pass "$fs: whole after each of $ROUNDS kills, with every flushed file"
	else
		fail "$fs: whole after each of $ROUNDS kills, with every flushed file" "$bad"
	fi
	ok "$fs: the load was one" test "$count" -gt $((ROUNDS * 5))
	release D
}

try ext4 192M e2fsck -fn RAW/disk
try xfs 384M xfs_repair -n -f RAW/disk
try btrfs 256M btrfs check RAW/disk
done_testing
