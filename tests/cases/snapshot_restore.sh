#!/bin/bash
# Volumes from snapshots: under the same key, under another, on another filesystem, of a killed volume; segments
# that are swapped between them; what differs between snapshots; and what is refused.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/other
OTHER=$KEY_ARN
make_key alias/demo
make_volume V --encryption-context purpose=test
mount_volume V D

# fill DIR MEBIBYTES [FROM]
fill() {
	dd if=/dev/urandom of="$1/disk" bs=1M count="$2" seek="${3:-0}" conv=notrunc,fsync status=none
}

sum() {
	sha256sum <"$1/disk"
}

# what VOL: the sum of what a mount of it shows.
what() {
	mkdir -p "D.$1"
	later release "D.$1"
	"$KMSVOL" mount "$1" "D.$1" || return
	sum "D.$1"
	"$KMSVOL" unmount "D.$1"
}

events() {
	aws cloudtrail lookup-events --lookup-attributes "AttributeKey=EventName,AttributeValue=$1" \
		--query 'length(Events)' --output text
}

fill D 20
first=$(sum D)
"$KMSVOL" snapshot create V S1 >/dev/null
fill D 3 1
second=$(sum D)

# --- the same key
before=$(events ReEncrypt)
need_ok 'a volume is restored' "$KMSVOL" restore S1 R --json
is 'its data key was wrapped for it' "$(($(events ReEncrypt) - before))" 1
is 'its context is its own, and what the user gave' \
	"$(jq -r '.encryption_context["aws:ebs:id"] == .id and .encryption_context.purpose == "test"' R/volume.json)" true
is 'it names its parent' "$(jq -r .parent_snapshot R/volume.json)" "$(jq -r .snapshot_id S1/snapshot.json)"
is 'it shares all data' "$(find R/segments -links 1)" ''
mount_volume R DR
is 'it holds what the snapshot holds' "$(sum DR)" "$first"
fill DR 2 10
restored=$(sum DR)
is 'a write to it changes neither volume nor snapshot' "$(sum D) $(what S1)" "$second $first"
kill -KILL "$("$KMSVOL" status R --json | jq .pid)"
release DR
is 'it survives a kill' "$(what R)" "$restored"
ok 'a restored volume has snapshots' "$KMSVOL" snapshot create R SR
ok 'which are restored' "$KMSVOL" restore SR R2
is 'with all writers known' "$(jq -r '[.lineage[].volume_id] | join(" ")' R2/volume.json)" \
	"$(jq -r .id V/volume.json) $(jq -r .id R/volume.json)"
is 'to what they hold' "$(what R2)" "$restored"

# --- segments with the same id in directories of one data key
"$KMSVOL" unmount D
cp -a R bad
own=$(comm -12 <(find V/segments -size +100k -printf '%f\n' | sort) <(find R/segments -size +100k -printf '%f\n' | sort) | tail -n 1)
is 'both volumes have a segment of one id' "$([ -n "$own" ]; echo $?)" 0
cp "V/segments/$own" "bad/segments/$own"
refused 4 "^kmsvol: volume '.*/bad': segments/$own: it was written for volume '$(jq -r .id V/volume.json)', and here belongs one of '$(jq -r .id R/volume.json)'$" \
	"$KMSVOL" mount bad D
sed -i 's/"below": [0-9]*/"below": 4000/' bad/volume.json
refused 4 "^kmsvol: volume '.*/bad': volume.json: its MAC is wrong" "$KMSVOL" mount bad D
rm -rf bad
is 'the others are as they were' "$(what R)" "$restored"

# --- another key
ok 'a volume is restored under another key' "$KMSVOL" restore S1 K --key-id alias/other
is 'it has that key' "$(jq -r .key_arn K/volume.json)" "$OTHER"
is 'it shares nothing' "$(find K -type f -links +1)" ''
is 'and holds what the snapshot holds' "$(what K)" "$first"
ok 'the name of the same key is the same key' "$KMSVOL" restore S1 A --key-id alias/demo --json
is 'and nothing is encrypted anew' "$(find A/segments -links 1)" ''
aws kms disable-key --key-id "$KEY_ARN"
is 'without the first key the second volume serves' "$(what K)" "$first"
refused 3 "^kmsvol: volume 'x': cannot wrap its data key for the new volume: KMS refused ReEncrypt .*DisabledException" \
	"$KMSVOL" restore S1 x
aws kms enable-key --key-id "$KEY_ARN"
aws kms disable-key --key-id "$OTHER"
refused 3 "^kmsvol: volume 'x': cannot get a data key: KMS refused .*DisabledException" \
	"$KMSVOL" restore S1 x --key-id alias/other
refused 3 "^kmsvol: volume 'x': cannot find out about the key 'alias/none': KMS refused .*NotFoundException" \
	"$KMSVOL" restore S1 x --key-id alias/none

# --- refused
refused 1 "^kmsvol: volume 'R': it exists and is not an empty directory$" "$KMSVOL" restore S1 R
refused 1 "^kmsvol: snapshot 'V': this is no snapshot: snapshot.json is missing$" "$KMSVOL" restore V x
refused 1 "^kmsvol: snapshot 'none': No such file or directory$" "$KMSVOL" restore none x
refused 2 "^kmsvol: volume 'S1/x': it may not be inside the snapshot$" "$KMSVOL" restore S1 S1/x
refused 2 "^kmsvol: volume 'x.partial': names in '.partial'" "$KMSVOL" restore S1 x.partial
refused 1 "^kmsvol: volume '/nowhere/x': '/nowhere': No such file" "$KMSVOL" restore S1 /nowhere/x
cp -a S1 bad
rm "bad/segments/$(ls -S bad/segments | head -n 1)"
refused 4 "^kmsvol: volume 'x': snapshot 'bad': segments/[0-9a-f]{8}: the file is missing, and map leaf [0-9]+ has a block in it$" \
	"$KMSVOL" restore bad x
refused 1 "^kmsvol: volume 'S1': this is a snapshot, and never changed$" "$KMSVOL" import /dev/null S1
is 'nothing is left of those' "$(ls -d x* ./*.partial 2>/dev/null)" ''
mkdir -p x.partial/segments empty
echo precious >x.partial/mine
refused 1 "^kmsvol: volume 'x': 'x.partial' exists, and is not what an interrupted command left$" "$KMSVOL" restore S1 x
is 'a stranger is left alone' "$(cat x.partial/mine)" precious
rm x.partial/mine
touch x.partial/partial
ok 'what was cut off goes first' "$KMSVOL" restore S1 x
ok 'an empty directory may be there' "$KMSVOL" restore S1 empty
is 'and no unfinished one is left' "$(ls -d ./*.partial 2>/dev/null)" ''

# --- on another filesystem
if [ -d /dev/shm ] && [ "$(stat -c %d /dev/shm)" != "$(stat -c %d .)" ]; then
	other=$(mktemp -d /dev/shm/kmsvol-restore.XXXXXX)
	later rm -rf "$other"
	ok 'a volume is restored to another filesystem' "$KMSVOL" restore S1 "$other/R"
	ln -s "$other/R" far
	is 'and holds what the snapshot holds' "$(what far)" "$first"
fi

# --- an interrupted one leaves nothing, a killed one nothing that counts
"$KMSVOL" create big --size 1G --key-id "$KEY_ARN" >/dev/null
mount_volume big DB
fill DB 160
"$KMSVOL" snapshot create big SB >/dev/null
"$KMSVOL" unmount DB
aws kms enable-key --key-id "$OTHER"
for signal in TERM KILL; do
	"$KMSVOL" restore SB cut --key-id alias/other >/dev/null 2>&1 &
	cut=$!
	wait_for 20 sh -c 'du -s cut.partial | awk "\$1 < 20000 { exit 1 }"'
	kill -"$signal" $cut
	wait $cut
	is "a restore ends by SIG$signal" $? $((128 + $(kill -l $signal)))
	is "SIG$signal: no volume is there" "$(ls -d cut 2>/dev/null)" ''
	[ $signal = KILL ] || is 'nor anything else' "$(ls -d cut.partial 2>/dev/null)" ''
done
ok 'after that it is restored' "$KMSVOL" restore SB cut --key-id alias/other
is 'and nothing else is left' "$(ls -d cut*)" cut
is 'it is whole' "$(what cut)" "$(what SB)"

# --- what differs
mount_volume V D
"$KMSVOL" snapshot create V S2 >/dev/null
dd if=/dev/urandom of=D/disk bs=4096 count=1 seek=$((40 * 256)) conv=notrunc status=none
fallocate --punch-hole --offset $((8 << 20)) --length $((1 << 20)) D/disk
"$KMSVOL" snapshot create V S3 >/dev/null
is 'what changed in three mebibytes' "$("$KMSVOL" diff S1 S2)" '1048576 3145728'
is 'the other way round' "$("$KMSVOL" diff S2 S1)" '1048576 3145728'
is 'a block and a hole' "$("$KMSVOL" diff S2 S3)" "$(printf '8388608 1048576\n41943040 524288')"
is 'as EBS says it' "$("$KMSVOL" diff S2 S3 --json | jq -c '[.block_size, (.changed_blocks[] | [.block_index, .in_first, .in_second])]')" \
	'[524288,[16,true,false],[17,true,false],[80,false,true]]'
is 'nothing in one and the same' "$("$KMSVOL" diff S3 S3)" ''
refused 1 "^kmsvol: diff: 'S1' is of volume 'vol-[0-9a-f]+', 'SR' of 'vol-[0-9a-f]+': snapshots of different volumes .*UNRELATED_SNAPSHOTS" \
	"$KMSVOL" diff S1 SR
refused 1 "^kmsvol: snapshot 'V': this is no snapshot" "$KMSVOL" diff V S1
done_testing
