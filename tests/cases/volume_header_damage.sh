#!/bin/bash
# A volume.json that was truncated, edited, or is of another program or a newer version: mount refuses with
# a sentence, and changes nothing in the volume.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/demo
KEY_1=$KEY_ARN
make_key alias/other
KEY_2=$KEY_ARN KEY_ARN=$KEY_1
make_volume V --encryption-context app=db
make_volume OTHER
cp V/volume.json good.json
mkdir D
later release D

# edited EXIT REGEX JQ_PROGRAM...: with volume.json changed by jq, mount is refused and the volume unchanged.
edited() {
	jq "${@:3}" good.json >V/volume.json
	damaged "$1" "$2" "jq ${*:3}"
}

damaged() {
	local before out code
	before=$(tree_hash V)
	out=$(timeout 60 "$KMSVOL" mount V D 2>&1)
	code=$?
	is "$3: exit code" "$code" "$1"
	like "$3: sentence" "$out" "$2"
	is "$3: one line" "$(wc -l <<<"$out")" 1
	is "$3: the volume is unchanged" "$(tree_hash V)" "$before"
	[ "$code" -ne 0 ] || "$KMSVOL" unmount D
}

M="^kmsvol: volume '[^']*V': volume.json: "

# --- form
head -c 100 good.json >V/volume.json
damaged 4 "${M}not JSON" 'truncated'
: >V/volume.json
damaged 4 "${M}not JSON" 'empty'
head -c 4096 /dev/zero >V/volume.json
damaged 4 "${M}not JSON" 'zeros'
head -c 70000 /dev/zero | tr '\0' ' ' >V/volume.json
damaged 4 "volume.json is longer than 65536 bytes" 'too long'
echo '{"name": "package", "version": "1.0.0"}' >V/volume.json
damaged 4 "${M}not the header of a volume" 'foreign'
edited 1 "${M}written by a newer kmsvol \(format 2\), this one reads 1" '.format_version = 2 | del(.mac)'
rm V/volume.json
damaged 1 "volume 'V': this is no volume: volume.json is missing" 'no header'
mkdir V/volume.json
damaged 1 "volume.json: Is a directory" 'a directory'
rmdir V/volume.json

# --- each member, wrong and missing
for member in format format_version id size_bytes block_size segment_size cipher key_arn encryption_context \
	wrapped_data_key parent_snapshot created mac; do
	what="member '$member'"
	[ "$member" != format ] || what='not the header of a volume'
	[ "$member" != size_bytes ] || what='size'
	edited 4 "$M.*$what" "del(.$member)"
	edited 4 "$M.*$what" ".$member = [1]"
done

# --- edits that make sense by themselves: only the key can tell
edited 4 "its MAC is wrong: it was edited" '.size_bytes *= 2'
edited 4 "its MAC is wrong: it was edited" '.size_bytes /= 2'
edited 4 "its MAC is wrong: it was edited" '.block_size = 8192'
edited 4 "its MAC is wrong: it was edited" '.cipher = "aes-256-xts"'
edited 4 "its MAC is wrong: it was edited" '.created = "2001-01-01T00:00:00Z"'
edited 4 "its MAC is wrong: it was edited" '.parent_snapshot = "snap-0123456789abcdef0"'
edited 4 "its MAC is wrong: it was edited" '.mac = "00" * 32'
# --- edits that KMS itself refuses
edited 3 "cannot unwrap data key: .*IncorrectKeyException" --arg k "$KEY_2" '.key_arn = $k'
edited 3 "cannot unwrap data key: .*InvalidCiphertextException" '.encryption_context.app = "web"'
edited 3 "cannot unwrap data key: .*InvalidCiphertextException" 'del(.encryption_context.app)'
edited 3 "cannot unwrap data key: .*InvalidCiphertextException" \
	'.id = "vol-0123456789abcdef0" | .encryption_context["aws:ebs:id"] = .id'
edited 3 "cannot unwrap data key: .*InvalidCiphertextException" \
	--arg b "$(jq -r .wrapped_data_key OTHER/volume.json)" '.wrapped_data_key = $b'
# --- another volume's header as a whole: right for KMS, wrong for these segments
cp OTHER/volume.json V/volume.json
damaged 4 "^kmsvol: volume '" 'the header of another volume'

# --- what is unknown is ignored, and the right header still opens
jq '.note = "kept by hand"' good.json >V/volume.json
ok 'an unknown member does no harm' "$KMSVOL" mount V D
ok 'unmounted' "$KMSVOL" unmount D

done_testing
