#!/bin/bash
# long
# A volume with a file system (mount --fs) loses its key: nothing of it is served any more, from no level: not from
# the kernel's cache, not from the daemon's memory. With the key everything is back, and the file system is clean.
# For each file system and each --on-key-loss.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/fs.sh"
need_root
need aws jq curl gdb openssl mkfs.ext4 mkfs.xfs mkfs.btrfs
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'

RECOVERABLE=inaccessible-encryption-credentials-recoverable
FILES=12
expect_stderr .
start_kmsd
make_key alias/demo
mkdir D RAW
later release D

sums() { (cd D && find . -type f -name 'f-*' -o -type f -name 'f[0-9]*' | sort | xargs sha256sum); }

# Two of the keys that the open store works with, derived from the data key (DESIGN.md, section 2), for grep -P.
key_patterns() {
	local hex
	hex=$(aws kms decrypt --ciphertext-blob fileb://<(jq -r .wrapped_data_key V/volume.json | base64 -d) \
		--encryption-context "$(jq -c .encryption_context V/volume.json)" \
		--query Plaintext --output text | base64 -d | od -An -v -tx1 | tr -d ' \n')
	[ ${#hex} -eq 128 ] || return 1
	MAP_KEY=$(derive "$hex" "kmsvol v1 map $ID")
	HEADER_KEY=$(derive "$hex" 'kmsvol v1 segment header')
}

derive() {
	openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:"$1" -kdfopt info:"$2" HKDF |
		tr -d ':\n' | sed 's/../&\n/g' | awk '
			# grep looks line by line: the first 10 bytes in a row without a line feed
			n == 10 { next }
			tolower($0) == "0a" { n = 0; p = ""; next }
			NF { p = p "\\x" $0; n++ }
			END { print n == 10 ? p : "(?!)" }' # which is found nowhere
}

# How often the pattern stands in the daemon's memory, also in what is kept out of core files.
in_memory() {
	LC_ALL=C grep -caP -- "$1" core # bytes, not characters
}

core() {
	rm -f core
	gdb -p "$(status_of pid)" -batch -ex 'set dump-excluded-mappings on' -ex "gcore core" >gdb.out 2>&1
}

# begin FS REACTION [OPTION]...: a new volume, mounted, with files that are cached, and one that is open.
begin() {
	fs=$1
	rm -rf V
	make_volume V --size 512M
	ID=$(jq -r .id V/volume.json)
	need_ok "$fs $2: mounts" "$KMSVOL" mount V D --fs "$fs" --on-key-loss "$2" --check-interval 200ms "${@:3}"
	mkdir -p D/a/b
	NEEDLE=plain-$RANDOM$RANDOM$RANDOM
	for n in $(seq $FILES); do
		yes "$NEEDLE $n" | head -c $((n * 10000)) >D/a/f"$n"
	done
	yes "$NEEDLE open" | head -c 400000 >D/a/b/f-open
	sync -f D
	sums >sums
	exec 9<D/a/b/f-open
	yes "$NEEDLE dirty" | head -c 300000 >D/f-dirty # and not synced
	sums >sums
	lost=$RECOVERABLE
	[ "$2" != read-only ] || lost=read-only
}

finish() {
	exec 9<&-
	ok "$1: all is there" cmp <(sums) sums
	ok "$1: and can be written" sh -c 'echo more >D/more && sync -f D'
	ok "$1: unmounts" timeout 30 "$KMSVOL" unmount D
	nothing_left "$1"
	ok "$1: the file system is clean" check_fs
}

# Start a reader for each file, and one for the file that is open, and one of the names. Their ids in $readers.
start_readers() {
	readers=()
	for f in a/f{1..12} a/b/f-open f-dirty; do
		cat D/"$f" >got."${f//\//-}" 2>got.err &
		readers+=($!)
		later kill -KILL "$!"
	done
	head -c 400000 <&9 >got.open 2>got.err &
	readers+=($!)
	later kill -KILL "$!"
	ls D >got.names 2>got.err &
	readers+=($!)
	later kill -KILL "$!"
}

alive() {
	local pid n=0
	for pid in "${readers[@]}"; do gone "$pid" || n=$((n + 1)); done
	echo "$n"
}
all_end() { [ "$(alive)" -eq 0 ]; }

try_hang() {
	begin "$1" hang
	key_patterns
	core
	ok "$fs hang: with the key, the search finds it" test "$(in_memory "$MAP_KEY")" -gt 0 -a "$(in_memory "$HEADER_KEY")" -gt 0
	disable
	need_ok "$fs hang: unreachable" wait_for 30 state_is V "$lost"
	ok "$fs hang: it is frozen" fs_event frozen
	core
	need_ok "$fs hang: there is a core" test -s core
	is "$fs hang: the key is nowhere in memory" "$(in_memory "$MAP_KEY") $(in_memory "$HEADER_KEY")" '0 0'
	is "$fs hang: nor is plaintext" "$(in_memory "$NEEDLE")" 0
	start_readers
	sleep 1
	is "$fs hang: all reads wait" "$(alive)" "${#readers[@]}"
	is "$fs hang: and have got nothing" "$(cat got.* | wc -c)" 0
	kill -KILL "${readers[0]}"
	ok "$fs hang: one that waits can be killed" wait_for 5 gone "${readers[0]}"
	echo new >D/f-new & # the shell's open waits
	writer=$!
	later kill -KILL "$writer"
	sleep 0.3
	not_ok "$fs hang: a write waits" gone "$writer"
	enable
	ok "$fs hang: back" wait_for 30 state_is V available
	ok "$fs hang: all reads end" wait_for 10 all_end
	ok "$fs hang: with what they wanted" cmp got.open <(yes "$NEEDLE open" | head -c 400000)
	ok "$fs hang: so does the write" wait_for 10 gone "$writer"
	is "$fs hang: and it is there" "$(cat D/f-new)" new
	rm D/f-new
	finish "$fs hang"
}

try_error() {
	begin "$1" error
	disable
	need_ok "$fs error: unreachable" wait_for 30 state_is V "$lost"
	ok "$fs error: it is shut" fs_event shut
	core
	is "$fs error: no plaintext in memory" "$(in_memory "$NEEDLE")" 0
	start_readers
	ok "$fs error: all reads end" wait_for 10 all_end
	is "$fs error: and have got nothing" "$(cat got.a* got.f* got.open got.err | grep -c "$NEEDLE")" 0
	like "$fs error: a read" "$(cat D/a/f3 2>&1)" 'Input/output error'
	like "$fs error: of an open file" "$(head -c 10 2>&1 <&9)" 'Input/output error'
	not_ok "$fs error: a write fails" sh -c 'echo new >D/f-new && sync -f D'
	enable
	ok "$fs error: back" wait_for 30 state_is V available
	not_ok "$fs error: what was open stays broken" head -c 10 /dev/fd/9
	echo first >D/first
	exec 9<&- # the old one goes, and writes nothing into the new one
	wait_for 5 sh -c '[ "$(grep -l "'"$ID"'" /sys/block/loop*/loop/backing_file | wc -l)" -eq 1 ]'
	is "$fs error: a write to the new one stays" "$(cat D/first)" first
	finish "$fs error"
}

try_read_only() {
	begin "$1" read-only
	disable
	need_ok "$fs read-only: its state" wait_for 30 state_is V "$lost"
	ok "$fs read-only: it was remounted" fs_event read-only
	ok "$fs read-only: all can be read" cmp <(sums) sums
	like "$fs read-only: a write" "$(touch D/f-new 2>&1)" 'Read-only file system'
	enable
	ok "$fs read-only: back" wait_for 30 state_is V available
	# With a file open for writing it cannot be remounted.
	exec 8>>D/log
	disable
	need_ok "$fs read-only, busy: its state" wait_for 30 state_is V "$lost"
	ok "$fs read-only, busy: it is frozen" fs_event frozen
	ok "$fs read-only, busy: all can be read" cmp <(sums) sums
	(echo line >&8) &
	writer=$!
	later kill -KILL "$writer"
	sleep 0.3
	not_ok "$fs read-only, busy: a write waits" gone "$writer"
	enable
	ok "$fs read-only, busy: back" wait_for 30 state_is V available
	ok "$fs read-only, busy: the write ends" wait_for 10 gone "$writer"
	exec 8>&-
	is "$fs read-only, busy: and is there" "$(cat D/log)" line
	finish "$fs read-only"
}

for type in ext4 xfs btrfs; do
	grep -qw "$type" /proc/filesystems || modprobe "$type" 2>/dev/null || {
		note "the kernel knows no $type"
		continue
	}
	try_hang "$type"
	try_error "$type"
	try_read_only "$type"
done
done_testing
