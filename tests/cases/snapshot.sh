#!/bin/bash
# Snapshots: of a mounted volume, an unmounted one, a killed one, one without its key; on another filesystem;
# looked into, listed, deleted; and what is refused.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/demo
make_volume V
mount_volume V D --on-key-loss hang --check-interval 100ms

# fill MEBIBYTES [FROM]: random bytes into the disk, durable.
fill() {
	dd if=/dev/urandom of=D/disk bs=1M count="$1" seek="${2:-0}" conv=notrunc,fsync status=none
}

sum() {
	sha256sum <"$1/disk"
}

# what SNAP: the sum of what a mount of it shows; read-only.
what() {
	mkdir -p "S.$1"
	later release "S.$1"
	"$KMSVOL" mount "$1" "S.$1" || return
	sum "S.$1"
	"$KMSVOL" unmount "S.$1"
}

create() {
	"$KMSVOL" snapshot create "$@" --json >created
}

# --- of a mounted volume
fill 24
first=$(sum D)
endpoint=$AWS_ENDPOINT_URL
AWS_ENDPOINT_URL=http://127.0.0.1:1 # nobody is there
need_ok 'a snapshot of a mounted volume is made, and KMS not asked' create V one --description 'the first'
AWS_ENDPOINT_URL=$endpoint
like 'it has a snapshot id' "$(jq -r .snapshot_id created)" '^snap-[0-9a-f]{17}$'
is "it is in the volume's diary as EventBridge would tell it" \
	"$(jq -c 'select(.event == "snapshot").notification | [."detail-type", .detail.event, .detail.result, (.detail.snapshot_id | split("/")[1])]' V/events.jsonl)" \
	"[\"EBS Snapshot Notification\",\"createSnapshot\",\"succeeded\",$(jq .snapshot_id created)]"
is 'no unfinished one is left' "$(ls -d V/*.partial *.partial 2>/dev/null)" ''
fill 8 4
second=$(sum D)
ok 'another one' create V two
fill 8 20
is 'what the first one holds' "$(what one)" "$first"
is 'what the second one holds' "$(what two)" "$second"

# --- looked into
"$KMSVOL" mount one S.one
is 'its mount is read-only' "$("$KMSVOL" status one --json | jq .read_only)" true
not_ok 'a write is refused' dd if=/dev/zero of=S.one/disk bs=4096 count=1 conv=notrunc
refused 1 "^kmsvol: snapshot 'one': in use by process [0-9]+, mounted at '.*/S.one'$" "$KMSVOL" snapshot delete one
"$KMSVOL" unmount S.one

# --- listed
list=$("$KMSVOL" snapshot list --json)
is 'two are listed, in their order' "$(jq -r '[.snapshots[].snapshot_dir] | join(" ")' <<<"$list")" './one ./two'
is 'the description is there' "$(jq -r '.snapshots[0].description' <<<"$list")" 'the first'
is 'both are completed' "$(jq -r '[.snapshots[] | .state + .progress] | unique | join(" ")' <<<"$list")" 'completed100%'
is 'the key is named' "$(jq -r '.snapshots[0].key_arn' <<<"$list")" "$KEY_ARN"
like 'and as text' "$("$KMSVOL" snapshot list .)" "^snap-[0-9a-f]{17}  vol-[0-9a-f]{17} +64 MiB +[0-9.]+ .iB  completed"

# --- refused
refused 1 "^kmsvol: snapshot '.*/one': exists already$" "$KMSVOL" snapshot create V one
refused 2 "^kmsvol: volume '.*/one': this is a snapshot already$" "$KMSVOL" snapshot create one
refused 2 "^kmsvol: snapshot '.*/V/s': it may not be inside the volume '.*/V'$" "$KMSVOL" snapshot create V V/s
refused 2 "^kmsvol: snapshot '.*/x.partial': names in '.partial' are those of unfinished ones$" \
	"$KMSVOL" snapshot create V x.partial
refused 1 "^kmsvol: snapshot '/nowhere/s': '/nowhere': No such file or directory$" "$KMSVOL" snapshot create V /nowhere/s
refused 1 "^kmsvol: volume 'none': No such file or directory$" "$KMSVOL" snapshot create none
refused 1 "^kmsvol: snapshot 'V': this is no snapshot: snapshot.json is missing$" "$KMSVOL" snapshot delete V
refused 2 "^kmsvol: volume '.*/V': the description is longer than 255 characters$" \
	"$KMSVOL" snapshot create V x --description "$(printf 'x%.0s' {1..256})"
is 'nothing is left of those' "$(ls -d V/*.partial x* 2>/dev/null)" ''

# --- one that was cut off is removed by the next one, and by nothing while somebody makes it
mkdir -p V/snap-0000000000000000a.partial/segments V/snap-0000000000000000b.partial
touch V/snap-0000000000000000{a,b}.partial/partial
(
	exec 9<V/snap-0000000000000000b.partial
	flock 9
	touch locked
	exec sleep 60
) &
later end_process $!
wait_for 10 test -e locked
ok 'a third one' create V three
is 'what was cut off is gone, what is being made is not' "$(ls -d V/*.partial)" V/snap-0000000000000000b.partial
end_process $!
rm -rf V/snap-0000000000000000b.partial three

# --- without the key, while writes wait
aws kms disable-key --key-id "$KEY_ARN"
wait_for 20 state_is V inaccessible-encryption-credentials-recoverable
dd if=/dev/urandom of=D/disk bs=1M count=1 conv=notrunc status=none &
writer=$!
wait_for 10 sh -c "'$KMSVOL' status V --json | jq -e '.waiting_requests > 0'"
ok 'a snapshot is made without the key' create V lost
like 'and says what is not in it' "$(jq -r .notice created)" 'what waits to be written is not in the snapshot'
aws kms enable-key --key-id "$KEY_ARN"
wait_for 20 state_is V available
wait "$writer"
third=$(sum D)
is 'what waited is in the volume, and not in the snapshot' "$([ "$(what lost)" != "$third" ]; echo $?)" 0
expect_stderr '.*'

# --- killed, and unmounted
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
release D
ok 'a snapshot of a killed volume is made' create V killed
is 'and says so' "$(jq -r .consistency created)" crash
like 'in words' "$(jq -r .notice created)" 'not unmounted cleanly'
is 'what it holds is what was flushed' "$(what killed)" "$third"
mount_volume V D
is 'which is what the volume holds' "$(sum D)" "$third"
fill 4
is 'and still holds when the volume has gone on' "$(what killed)" "$third"
fourth=$(sum D)
"$KMSVOL" unmount D
mount_volume V D --read-only
ok 'one of a volume that is mounted read-only is made' create V still
is 'and nothing is missing in it' "$(jq -r '.consistency + (.notice // "")' created)" clean
"$KMSVOL" unmount D
is 'what it holds' "$(what still)" "$fourth"
"$KMSVOL" snapshot delete still
ok 'one of an unmounted volume is made' create V clean
is 'and is clean' "$(jq -r '.consistency + (.notice // "")' created)" clean
is 'what it holds' "$(what clean)" "$fourth"

# --- on another filesystem it is a copy
if [ -d /dev/shm ] && [ "$(stat -c %d /dev/shm)" != "$(stat -c %d .)" ]; then
	other=$(mktemp -d /dev/shm/kmsvol-snapshot.XXXXXX)
	later rm -rf "$other"
	ok 'a snapshot on another filesystem is made' create V "$other/far"
	is 'without hard links' "$(find "$other/far" -type f -links +1)" ''
	is 'and leaves nothing else' "$(ls -A "$other"; ls -d V/*.partial 2>/dev/null)" far
	ln -s "$other/far" far
	is 'what it holds' "$(what far)" "$fourth"
fi

# --- files that are missing, cut short, or of another time
damage() { # REGEX COMMAND: a copy of "clean" damaged by the command is refused with this
	local regex=$1
	shift
	rm -rf bad
	cp -a clean bad
	"$@"
	mkdir -p M
	refused 4 "^kmsvol: volume '.*/bad': $regex" "$KMSVOL" mount bad M
}
other_id=$(ls -S clean/segments | tail -n 1)
largest=$(ls -S clean/segments | head -n 1)
damage "segments/$largest: the file is missing" rm "bad/segments/$largest"
damage "segments/$largest: the file is cut short: 4096 bytes, its blocks need [0-9]+" truncate -s 4096 "bad/segments/$largest"
damage 'root.0, root.1 or flushed is damaged or of another time' cp two/root.0 two/root.1 two/flushed two/map bad
damage 'map: page at [0-9]+ .* is damaged or not of this checkpoint' cp two/map bad
damage "segments/$largest: header is of segment $other_id" cp "clean/segments/$other_id" "bad/segments/$largest"
damage "snapshot.json is of volume 'vol-0" sed -i 's/vol-.\{17\}/vol-00000000000000000/' bad/snapshot.json
damage "snapshot.json: member 'volume_id' is missing" sed -i /volume_id/d bad/snapshot.json

# --- deleted
for s in one two lost killed; do
	ok "'$s' is deleted" "$KMSVOL" snapshot delete "$s"
done
is 'they are gone' "$(ls -d one two lost killed ./*.partial 2>/dev/null)" ''
is 'the others are as they were' "$(what clean)" "$fourth"
mount_volume V D
is 'and so is the volume' "$(sum D)" "$fourth"
done_testing
