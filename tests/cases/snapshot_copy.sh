#!/bin/bash
# Copies of snapshots under another key: what is in them, what can be made of them, what KMS is asked for them,
# what cuts them off, and what is refused.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/other
OTHER=$KEY_ARN
make_key alias/demo
make_volume V --size 192M --encryption-context purpose=test
head -c 24M /dev/urandom >image
ok 'a volume is filled' "$KMSVOL" import image V
"$KMSVOL" snapshot create V S --description original >/dev/null

sum() {
	"$KMSVOL" export "$1" - | sha256sum
}
# calls NAME: JSON lines, the last first.
calls() {
	aws cloudtrail lookup-events --lookup-attributes "AttributeKey=EventName,AttributeValue=$1" \
		--query 'Events[].CloudTrailEvent' --output json | jq -c '.[] | fromjson'
}
of() { # MEMBER NAME: of what `snapshot list` says of it
	"$KMSVOL" snapshot list --json | jq -r ".snapshots[] | select(.snapshot_dir == \"./$2\") | .$1"
}
SUM=$(sum S)
VOL=$(jq -r .id V/volume.json) SNAP=$(jq -r .snapshot_id S/snapshot.json)

# --- what is in it
"$KMSVOL" snapshot copy S C --key-id alias/other --description 'a copy' --json >copied.json 2>err
is 'a snapshot is copied' "$? $(cat err)" '0 '
ID=$(jq -r .snapshot_id copied.json)
like 'it has an id of its own' "$ID" '^snap-[0-9a-f]{17}$'
is 'and says what it is' "$(jq -r '[.snapshot_dir, .volume_id, .source_snapshot_id, .key_arn, .description, .state] | join(" ")' copied.json)" \
	"$DIR/C $VOL $SNAP $OTHER a copy completed"
is 'its header is bound to it, and has what the user gave' \
	"$(jq -c '[.id, .key_arn, .parent_snapshot, .encryption_context]' C/volume.json)" \
	"[\"$ID\",\"$OTHER\",\"$SNAP\",{\"aws:ebs:id\":\"$ID\",\"purpose\":\"test\"}]"
is 'its key was made for it' \
	"$(calls GenerateDataKeyWithoutPlaintext | head -n 1 | jq -c '.requestParameters | [.keyId, .encryptionContext["aws:ebs:id"]]')" \
	"[\"alias/other\",\"$ID\"]"
is 'it shares nothing' "$(find C -type f -links +1)" ''
is 'it holds what the snapshot holds' "$(sum C)" "$SUM"
is 'the list has it' "$(for m in state key_arn source_snapshot_id progress; do of $m C; done | xargs)" "completed $OTHER $SNAP 100%"
ok 'it is intact' "$KMSVOL" check C
is 'it does not differ from itself' "$("$KMSVOL" diff C C)" ''
refused 1 'UNRELATED_SNAPSHOTS' "$KMSVOL" diff S C
is "the source's diary tells it as EBS does" \
	"$(jq -c 'select(.event == "snapshot-copy") | .notification | [."detail-type", .resources[0], (.detail | .event, .result, .source, .incremental)]' S/events.jsonl)" \
	"[\"EBS Snapshot Notification\",\"arn:aws:ec2::us-east-1:snapshot/$ID\",\"copySnapshot\",\"succeeded\",\"arn:aws:ec2::us-east-1:snapshot/$SNAP\",\"false\"]"

# --- without the first key
aws kms disable-key --key-id "$KEY_ARN"
is 'without the first key it is read' "$(sum C)" "$SUM"
ok 'and restored' "$KMSVOL" restore C R
is 'by ReEncrypt, from its context to that of the volume' \
	"$(calls ReEncrypt | head -n 1 | jq -c '.requestParameters | [.sourceEncryptionContext["aws:ebs:id"], .destinationEncryptionContext["aws:ebs:id"]]')" \
	"[\"$ID\",$(jq .id R/volume.json)]"
is 'whose data is shared' "$(find R/segments -links 1)" ''
mount_volume R D
is 'it serves' "$(head -c 24M D/disk | cmp - image && echo same)" same
dd if=/dev/urandom of=D/disk bs=64k count=8 conv=notrunc,fsync status=none
ok 'and is written' "$KMSVOL" unmount D
is 'the copy stays as it is' "$(sum C)" "$SUM"
ok 'what was restored is whole' "$KMSVOL" check R
"$KMSVOL" snapshot create R SR >/dev/null
ok 'a snapshot of that is restored' "$KMSVOL" restore SR R2
is 'to the same' "$(sum R2)" "$(sum R)"
mount_volume C D
is 'a copy is mounted for reading' "$(head -c 24M D/disk | cmp - image && echo same)" same
not_ok 'only' dd if=/dev/zero of=D/disk bs=4k count=1 conv=notrunc status=none
refused 1 "^kmsvol: snapshot 'C': " "$KMSVOL" snapshot delete C
ok 'and unmounted' "$KMSVOL" unmount D
# In KMS's own words: those of EC2 are for attaching.
DISABLED="cannot unwrap data key: KMS refused CreateGrant with key $KEY_ARN: DisabledException: $KEY_ARN is disabled\\.$"
refused 3 "^kmsvol: snapshot 'S': $DISABLED" "$KMSVOL" snapshot copy S x --key-id alias/other
refused 3 "^kmsvol: volume 'S': $DISABLED" "$KMSVOL" export S x
refused 3 "^kmsvol: volume 'V': $DISABLED" "$KMSVOL" export V x
refused 3 "^kmsvol: volume 'x': snapshot 'S': $DISABLED" "$KMSVOL" restore S x --key-id alias/other
refused 3 "^kmsvol: volume '$DIR/V': Client.InternalError: Client error on launch: .*$DISABLED" "$KMSVOL" mount V D
refused 3 "^kmsvol: snapshot 'x': InvalidParameterValue: The specified keyId $KEY_ARN is disabled$" \
	"$KMSVOL" snapshot copy C x --key-id alias/demo
refused 3 "^kmsvol: snapshot 'x': InvalidParameterValue: The specified keyId $KEY_ARN is disabled$" \
	"$KMSVOL" snapshot copy C x --key-id "$KEY_ARN"
aws kms enable-key --key-id "$KEY_ARN"

# --- keys of other kinds
ok 'a copy of a copy, under the key of EBS' "$KMSVOL" snapshot copy C E --key-id alias/aws/ebs
ok 'and back' "$KMSVOL" snapshot copy E F --key-id alias/demo
is 'has the same in it' "$(sum F)" "$SUM"
ok 'the same key may be used again' "$KMSVOL" snapshot copy S G --key-id "$KEY_ARN"
not_ok 'with another data key' cmp -s <(jq .wrapped_data_key S/volume.json) <(jq .wrapped_data_key G/volume.json)
ok 'copies are deleted' sh -c 'for s in E F G; do "$1" snapshot delete $s || exit 1; done' - "$KMSVOL"

# --- refused
refused 2 "^kmsvol: snapshot copy: --key-id is missing: " "$KMSVOL" snapshot copy S x
refused 3 "^kmsvol: snapshot 'x': InvalidParameterValue: The specified keyId alias/none is invalid$" \
	"$KMSVOL" snapshot copy S x --key-id alias/none
refused 3 "^kmsvol: snapshot 'x': InvalidParameterValue: The specified keyId no key is invalid$" \
	"$KMSVOL" snapshot copy S x --key-id 'no key'
refused 1 "^kmsvol: snapshot 'C': it exists and is not an empty directory$" "$KMSVOL" snapshot copy S C --key-id alias/other
refused 1 "^kmsvol: snapshot 'image': it exists and is not an empty directory$" "$KMSVOL" snapshot copy S image --key-id alias/other
refused 1 "^kmsvol: snapshot 'V': this is no snapshot: snapshot.json is missing$" "$KMSVOL" snapshot copy V x --key-id alias/other
refused 1 "^kmsvol: snapshot 'none': No such file or directory$" "$KMSVOL" snapshot copy none x --key-id alias/other
refused 2 "^kmsvol: snapshot 'S/x': it may not be inside the snapshot$" "$KMSVOL" snapshot copy S S/x --key-id alias/other
refused 2 "^kmsvol: snapshot 'x.partial': names in '.partial'" "$KMSVOL" snapshot copy S x.partial --key-id alias/other
refused 1 "^kmsvol: snapshot '/nowhere/x': '/nowhere': No such file" "$KMSVOL" snapshot copy S /nowhere/x --key-id alias/other
refused 2 "^kmsvol: snapshot 'x': the description is longer than 255 characters$" \
	"$KMSVOL" snapshot copy S x --key-id alias/other --description "$(printf '%256s' '')"
cp -a S bad
rm "bad/segments/$(ls -S bad/segments | head -n 1)"
refused 4 "^kmsvol: snapshot 'bad': segments/[0-9a-f]{8}: the file is missing" "$KMSVOL" snapshot copy bad x --key-id alias/other
rm -rf bad && cp -a S bad
dd if=/dev/urandom of="bad/segments/$(ls -S bad/segments | head -n 1)" bs=4k seek=1000 count=1 conv=notrunc status=none
refused 4 "^kmsvol: snapshot 'x': " "$KMSVOL" snapshot copy bad x --key-id alias/other
is 'that is told as failed' "$(jq -r 'select(.event == "snapshot-copy") | .notification.detail | .event + " " + .result' bad/events.jsonl | tail -n 1)" 'copySnapshot failed'
rm -rf bad && cp -a C bad
sed -i "s/$ID/snap-00000000000000000/" bad/snapshot.json
refused 4 "^kmsvol: snapshot 'bad': snapshot.json is of 'snap-0{17}', volume.json of '$ID'$" "$KMSVOL" restore bad x
is 'nothing is left of those' "$(ls -d x* ./*.partial 2>/dev/null)" ''
is 'the source is as it was' "$(sum S)" "$SUM"
if [ "$(id -u)" -eq 0 ]; then
	mkdir small
	later umount small
	mount -t tmpfs -o size=8m none small
	echo precious >small/mine
	refused 1 "^kmsvol: snapshot 'small/x': .*No space left on device" "$KMSVOL" snapshot copy S small/x --key-id alias/other
	is 'a full disk: nothing is left, and nothing else is touched' "$(ls small) $(cat small/mine)" 'mine precious'
fi

# --- cut off
head -c 160M /dev/urandom >image
"$KMSVOL" import image V
"$KMSVOL" snapshot create V SB >/dev/null
mkdir x.partial
echo precious >x.partial/mine
refused 1 "^kmsvol: snapshot 'x': 'x.partial' exists, and is not what an interrupted command left$" \
	"$KMSVOL" snapshot copy S x --key-id alias/other
for signal in TERM KILL; do
	"$KMSVOL" snapshot copy SB cut --key-id alias/other >/dev/null 2>&1 &
	cut=$!
	# Its second segment is there: a third of it is done. No pause between two looks, or it would be over.
	end=$((SECONDS + 20))
	until [ -e cut.partial/segments/00000002 ] || [ $SECONDS -ge $end ]; do :; done
	kill -STOP $cut
	if [ $signal = TERM ]; then
		is 'while it is made it is pending' "$(of state cut.partial) $(of source_snapshot_id cut.partial)" \
			"pending $(jq -r .snapshot_id SB/snapshot.json)"
		like 'with its progress' "$(of progress cut.partial)" '^[1-9][0-9]%$'
		refused 1 "^kmsvol: snapshot 'cut': another process is making it$" "$KMSVOL" snapshot copy S cut --key-id alias/other
		refused 1 "^kmsvol: snapshot 'SB': in use" "$KMSVOL" snapshot delete SB
		kill -TERM $cut
		kill -CONT $cut
	else
		kill -KILL $cut
	fi
	wait $cut
	is "a copy ends by SIG$signal" $? $((128 + $(kill -l $signal)))
	is "SIG$signal: no copy is there" "$(ls -d cut 2>/dev/null)" ''
	[ $signal = KILL ] || is 'nor anything else' "$(ls -d cut.partial 2>/dev/null)" ''
done
is 'what a kill left is an error' "$(of state cut.partial)" error
ok 'after that it is copied' "$KMSVOL" snapshot copy SB cut --key-id alias/other
is 'and nothing else is left' "$(ls -d cut*)" cut
is 'it is whole' "$(sum cut)" "$(sum SB)"
done_testing
