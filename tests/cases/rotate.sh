#!/bin/bash
# long
# rotate --new-data-key: a volume gets a new data key and is written anew under it; mounted under load, not mounted,
# killed in the middle, without its key in the middle, with snapshots, with damage, on a full disk.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/demo
make_volume V --size 256M
head -c 96M /dev/urandom >IMAGE
ok 'a volume is filled' "$KMSVOL" import IMAGE V
wrapped() {
	jq -r .wrapped_data_key "$1/volume.json"
}
# calls NAME: how many such calls KMS had with the context of $VOL
calls() {
	aws cloudtrail lookup-events --lookup-attributes "AttributeKey=EventName,AttributeValue=$1" \
		--query 'Events[].CloudTrailEvent' --output json |
		jq --arg vol "$VOL" '[.[] | fromjson | select(.requestParameters.encryptionContext["aws:ebs:id"] == $vol)] | length'
}
# holds VOL BYTES: its content begins as IMAGE does
holds() {
	rm -f OUT
	"$KMSVOL" export "$1" OUT && cmp -n "$2" OUT IMAGE
}
VOL=$(jq -r .id V/volume.json)
first=$(wrapped V)
"$KMSVOL" snapshot create V S >/dev/null

# --- bad usage
refused 2 '^kmsvol: rotate: one of --rewrap and --new-data-key is needed' "$KMSVOL" rotate V
refused 2 '^kmsvol: rotate: one of --rewrap and --new-data-key is needed' "$KMSVOL" rotate V --rewrap --new-data-key
refused 1 'this is a snapshot, and never changed$' "$KMSVOL" rotate S --new-data-key
refused 1 'this is a snapshot, and never changed$' "$KMSVOL" rotate S --rewrap
refused 1 'this is a snapshot, and never changed$' "$KMSVOL" resize S --size 512M

# --- mounted, under load
mount_volume V D --check-interval 200ms
before=$(calls GenerateDataKeyWithoutPlaintext)
rm -f stop broken
load() {
	while [ ! -e stop ]; do
		dd if=IMAGE of=D/disk bs=64K count=256 seek=2048 oflag=direct conv=notrunc status=none || touch broken
		cmp -n 1000000 D/disk IMAGE || touch broken
	done
}
load &
loader=$!
"$KMSVOL" rotate V --new-data-key --json >said 2>err
is 'mounted and in use it is rotated' "$? $(cat err) $(jq -r .volume_id said)" "0  $VOL"
touch stop
wait $loader
not_ok 'nobody noticed' test -e broken
second=$(wrapped V)
not_ok 'it has another key' test "$first" = "$second"
is 'and the one before is gone from it' "$(jq .previous_data_key V/volume.json)" null
is 'nothing is under it' "$("$KMSVOL" status V --json | jq .previous_key_bytes)" 0
is 'one data key was asked for' "$(calls GenerateDataKeyWithoutPlaintext)" $((before + 1))
ok 'what was there is there' cmp -n $((96 << 20)) D/disk IMAGE
is 'the diary tells' "$(jq -r 'select(.event == "data-key-rotation") | .result' V/events.jsonl | xargs)" 'begun completed'
"$KMSVOL" unmount D
is 'it is intact' "$("$KMSVOL" check V --json | jq -r .state)" intact
is 'the snapshot kept its key' "$(wrapped S)" "$first"
is 'and is intact' "$("$KMSVOL" check S --json | jq -r .state)" intact
ok 'with what it had' holds S $((96 << 20))
cp -a V COPY
cp S/volume.json COPY/volume.json
refused 4 "is damaged or of another volume|is damaged" "$KMSVOL" export COPY out
rm -rf COPY

# --- not mounted
"$KMSVOL" snapshot create V S2 >/dev/null
ok 'not mounted it is rotated' "$KMSVOL" rotate V --new-data-key
third=$(wrapped V)
not_ok 'it has another key' test "$second" = "$third"
is 'it is intact' "$("$KMSVOL" check V --json | jq -r .state)" intact
is 'what changed since the snapshot: nothing' "$("$KMSVOL" snapshot create V S3 >/dev/null && "$KMSVOL" diff S2 S3)" ''
ok 'a snapshot of before is restored' "$KMSVOL" restore S2 R
ok 'and has what it had' holds R $((96 << 20))
rm -rf R

# --- interrupted, not mounted and mounted, and killed
half() {
	[ "$(jq '.previous_data_key != null' V/volume.json)" = true ]
}
"$KMSVOL" rotate V --new-data-key 2>err &
pid=$!
wait_for 20 half
kill -INT $pid 2>/dev/null
wait $pid
code=$?
# It may have been quicker than the signal.
ok 'interrupted it says how to go on, or it was done' test "$code" -eq 0 -o "$(grep -c 'interrupted; it goes on with the same command, or when it is mounted$' err)" -eq 1
mount_volume V D --check-interval 200ms
for _ in 1 2 3; do
	"$KMSVOL" rotate V --new-data-key >/dev/null 2>&1 &
	pid=$!
	wait_for 20 half
	kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
	wait $pid
	"$KMSVOL" unmount D
	mount_volume V D --check-interval 200ms
	ok 'killed in the middle, what was there is there' cmp -n $((96 << 20)) D/disk IMAGE
	not_half() { ! half; }
	ok 'mounted again it goes on by itself' wait_for 60 not_half
done
ok 'what was there is there' cmp -n $((96 << 20)) D/disk IMAGE

# --- the key goes in the middle, and comes back
aws kms disable-key --key-id "$KEY_ARN"
was=$(wrapped V)
"$KMSVOL" rotate V --new-data-key 2>err
code=$?
ok 'without its key it is refused' test $code -eq 3 -o $code -eq 1
is 'and nothing was changed' "$(wrapped V)" "$was"
wait_for 20 state_is V inaccessible-encryption-credentials-recoverable
refused 1 "volume is in inaccessible-encryption-credentials-recoverable state but expected it to be available" "$KMSVOL" rotate V --new-data-key
aws kms enable-key --key-id "$KEY_ARN"
wait_for 20 state_is V available
"$KMSVOL" rotate V --new-data-key >/dev/null 2>err &
pid=$!
wait_for 20 half
aws kms disable-key --key-id "$KEY_ARN"
wait_for 20 state_is V inaccessible-encryption-credentials-recoverable
aws kms enable-key --key-id "$KEY_ARN"
wait $pid
is 'when it comes back the rotation ends' "$?" 0
is 'with one key' "$(jq .previous_data_key V/volume.json)" null
ok 'what was there is there' cmp -n $((96 << 20)) D/disk IMAGE
"$KMSVOL" unmount D
mount_volume V D --read-only
refused 1 'it is mounted for reading only$' "$KMSVOL" rotate V --new-data-key
"$KMSVOL" unmount D
is 'it is intact' "$("$KMSVOL" check V --json | jq -r .state)" intact

# --- damage: what cannot be moved is not called rotated; the rest is saved
make_volume W --size 64M
ok 'another one' sh -c 'head -c 8M IMAGE | "$0" import - W' "$KMSVOL"
segment=$(find W/segments -type f -size +1M | sort | head -n 1)
printf '\377\377\377\377' | dd of="$segment" bs=1 seek=3000000 conv=notrunc status=none
refused 4 "bytes of the log stay under the previous data key: their segments have damaged blocks; see 'kmsvol check'$" \
	"$KMSVOL" rotate W --new-data-key
not_ok 'it has both keys' test "$(jq .previous_data_key W/volume.json)" = null
"$KMSVOL" check W --json >said
is 'the check finds the block, and nothing else' "$? $(jq -c '[.damaged_blocks, .damages]' said)" '4 [1,1]'
ok 'a snapshot of it in the middle' "$KMSVOL" snapshot create W WS
"$KMSVOL" check WS --json >said
is 'has the same damage' "$(jq .damaged_blocks said)" 1
"$KMSVOL" check W --repair-to X >/dev/null
is 'the rest is saved' "$(jq -c '[.id, .previous_data_key]' X/volume.json)" "[$(jq -c .id W/volume.json),null]"
is 'under one key, intact' "$("$KMSVOL" check X --json | jq -r .state)" intact
"$KMSVOL" export X - >OUT
wrong=$(cmp -l -n $((8 << 20)) OUT IMAGE | wc -l)
ok 'all but the block' test "$wrong" -gt 3000 -a "$wrong" -le 4096
mount_volume W D
ok 'it is mounted as before' dd if=D/disk of=/dev/null bs=1M count=1 status=none
like 'and says what stays' "$("$KMSVOL" status W --json | jq .previous_key_bytes)" '^[1-9]'
expect_stderr 'rotation of the data key:.*damaged blocks'
"$KMSVOL" unmount D

# --- in the middle: restored, copied
make_volume Y --size 64M
ok 'a third one' sh -c 'head -c 8M IMAGE | "$0" import - Y' "$KMSVOL"
segment=$(find Y/segments -type f -size +1M | sort | head -n 1)
cp "$segment" KEPT
printf '\377\377\377\377' | dd of="$segment" bs=1 seek=3000000 conv=notrunc status=none
refused 4 'damaged blocks' "$KMSVOL" rotate Y --new-data-key
cp KEPT "$segment"
"$KMSVOL" snapshot create Y YS >/dev/null
is 'a snapshot with both keys' "$(jq '.previous_data_key != null' YS/volume.json)" true
like 'is restored, under one' "$("$KMSVOL" restore YS YR --json && jq -c .previous_data_key YR/volume.json)" 'null$'
make_key alias/other
ok 'and copied' "$KMSVOL" snapshot copy YS YC --key-id alias/other
for v in YS YR YC; do
	ok "$v has what it has to" holds $v $((8 << 20))
done
ok 'without the damage it goes on' "$KMSVOL" rotate Y --new-data-key
is 'to one key' "$(jq .previous_data_key Y/volume.json)" null
done_testing
