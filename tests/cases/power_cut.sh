#!/bin/bash
# long
# The power of a whole machine is cut again and again in the middle of a load: a User Mode Linux with a disk, on it
# (ext4) a KMS and a volume, on that a file system. What was not synced is gone with the kernel's memory. Then the
# machine starts anew: kmsd still has the key, the volume opens, the file system mounts, every file whose fsync
# had returned is there, whole; at the end its own checker finds nothing. SEED=N repeats a run as far as timing
# allows, ROUNDS=N says how many cuts a file system gets.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/uml.sh"

# --- inside: one life of the machine; it says on the console what was synced

say() {
	echo "machine: $*"
}

die() {
	say "BAD $*"
	exit 1
}

# Files that name what they must hold, some overwritten by a rename, some removed.
load() {
	local n dir name
	for ((n = 0; ; n++)); do
		dir=M/$((RANDOM % 5)) name=$ROUND-$1-$n
		mkdir -p "$dir" &&
			yes "$name" 2>/dev/null | head -c $((RANDOM * 8 + 1)) >"$dir/$name.new" &&
			sync "$dir/$name.new" && mv "$dir/$name.new" "$dir/$name" && sync "$dir" &&
			say "SYNCED $dir/$name" || die "the load fails in the middle"
		if [ $((RANDOM % 4)) -eq 0 ]; then
			say "GONE $dir/$name"
			rm "$dir/$name"
		fi
	done
}

files_are_there() {
	local file
	while read -r file; do
		[ -s "$file" ] || die "$file is missing or empty"
		yes "${file##*/}" 2>/dev/null | head -c "$(stat -c %s "$file")" | cmp -s - "$file" ||
			die "$file holds something else"
	done </run/out/expected
	say "found $(wc -l </run/out/expected)"
}

machine() {
	RANDOM=$ROUND
	mkdir /run/disk && mount -t ext4 /dev/ubda /run/disk && cd /run/disk || die 'no disk'
	mkdir -p M
	KMSD_DIR=/run/disk/kms
	start_kmsd
	if [ ! -e V ]; then
		KEY_ARN=$(post CreateKey '{}' | jq -r .KeyMetadata.Arn)
		"$KMSVOL" create V --size 384M --key-id "$KEY_ARN" >said 2>&1 || die "$(cat said)"
		sync -f .
	fi
	"$KMSVOL" mount V M --fs "$FS" >said 2>&1 || die "no mount: $(cat said)"
	files_are_there
	if [ -z "$CUT" ]; then
		"$KMSVOL" unmount M || die 'no unmount'
		"$KMSVOL" check V >said 2>&1 || die "kmsvol check: $(cat said)"
		mkdir -p /run/raw && "$KMSVOL" mount V /run/raw --read-only >said 2>&1 || die "$(cat said)"
		cd /run && $(cat out/checker) raw/disk >said 2>&1 || die "$(cat out/checker): $(cat said)"
		"$KMSVOL" unmount raw
		cd / && end_process "$KMSD_PID" && umount /run/disk
		say END
		exit 0
	fi
	for worker in 1 2 3; do
		load "$worker" &
	done
	wait
}

if [ -n "${UML_INSIDE:-}" ]; then
	machine
	exit 1
fi

# --- outside

need_root
need jq curl mkfs.ext4
need_uml
SEED=${SEED:-$(date +%s)}
ROUNDS=${ROUNDS:-3}
RANDOM=$SEED
note "SEED=$SEED"

# live CUT: one life of the machine; its console is in $DIR/console
live() {
	: >"$DIR/console" # here, not by the child: what the life before said must be gone at once
	uml "$CASE_ROOT/tests/cases/$CASE_NAME.sh" "ubd0=$DIR/disk" UML_CONSOLE=1 "FS=$fs" "ROUND=$round" "CUT=$1" \
		>"$DIR/console" 2>&1 &
	MACHINE=$!
	later kill -KILL -- "-$MACHINE"
}

loaded() {
	[ "$(grep -c '^machine: SYNCED' console)" -ge 8 ] || ended
}

ended() {
	grep -q '^machine: BAD' console || gone "$MACHINE"
}

try() {
	local bad='' seen=0
	fs=$1
	echo "$2" >out/checker
	: >synced
	: >removed
	rm -f disk
	truncate -s 1G disk
	mkfs.ext4 -q disk
	for ((round = 1; round <= ROUNDS + 1; round++)); do
		sort -u synced | comm -23 - <(sort -u removed) >out/expected
		if [ "$round" -le "$ROUNDS" ]; then
			live yes
			wait_for 90 loaded || bad="round $round: no load"
			sleep "0.$((RANDOM % 7))$((RANDOM % 10))"
			kill -KILL -- "-$MACHINE"
		else
			live ''
		fi
		wait "$MACHINE" 2>/dev/null
		tr -d '\r' <console >said
		[ -n "$bad" ] || bad=$(grep '^machine: BAD' said)
		[ "$round" -le "$ROUNDS" ] || grep -q '^machine: END' said || bad=${bad:-'the last life did not end well'}
		[ -z "$bad" ] || break
		sed -n 's/^machine: SYNCED //p' said >>synced
		sed -n 's/^machine: GONE //p' said >>removed
		seen=$(sed -n 's/^machine: found //p' said)
	done
	[ -z "$bad" ] || sed 's/^/# console: /' console | tail -n 20
	is "$fs: whole after each of $ROUNDS cuts, with every synced file" "$bad" ''
	note "$fs: $(sort -u synced | wc -l) files were synced, $seen of them stayed"
	ok "$fs: the load was one" test "$(wc -l <synced)" -ge $((ROUNDS * 8))
}

try ext4 'e2fsck -fn'
try xfs 'xfs_repair -n -f'
try btrfs 'btrfs check'
done_testing
