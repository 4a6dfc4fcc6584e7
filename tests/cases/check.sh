#!/bin/bash
# check: an undamaged volume is found so, damage is told with its place in file and volume, the exit code is
# 4, and what is intact is saved bit for bit; with and without the key; nothing in the volume is changed.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse
DIFF=$BUILD/tests/diskdiff
[ -x "$DIFF" ] || skip_all 'needs make testtools'

SEED=${SEED:-$(date +%s)}
RANDOM=$SEED
note "SEED=$SEED"
start_kmsd
make_key alias/demo
make_volume V --size 32M
mount_volume V D
dd if=/dev/urandom of=D/disk bs=64K count=100 conv=notrunc status=none
dd if=/dev/urandom of=D/disk bs=4K count=300 seek=3000 oflag=direct conv=notrunc status=none
fallocate -p -o 40960 -l 409600 D/disk
cp --sparse=always D/disk IMAGE
refused 1 "^kmsvol: volume 'V': in use by process [0-9]+, mounted at" "$KMSVOL" check V
"$KMSVOL" unmount D
cp -a V GOOD

# --- undamaged
said=$("$KMSVOL" check V --json)
is 'an undamaged volume: 0' $? 0
is 'it is intact' "$(jq -r '.state, .damages, (.findings | length)' <<<"$said" | xargs)" 'intact 0 0'
is 'all its blocks were verified' "$(jq .blocks <<<"$said")" \
	"$("$KMSVOL" export V X --json | jq '.data_bytes / 4096 | floor')"
like 'as lines' "$("$KMSVOL" check V)" '^state: +intact$'
said=$("$KMSVOL" check V --no-key --json)
is 'without the key: 0' $? 0
is 'it is not verified' "$(jq -r '.state, .with_key' <<<"$said" | xargs)" 'not verified false'
like 'it says what was not' "$(jq -r .not_verified <<<"$said")" 'tags of blocks'
aws kms disable-key --key-id "$KEY_ARN"
said=$("$KMSVOL" check V --json 2>stderr)
is 'KMS refuses: 3' $? 3
is 'the shapes are verified all the same' "$(jq -r '.state, .segments > 0' <<<"$said" | xargs)" 'not verified true'
like 'and why is said' "$(cat stderr)" '^kmsvol: .*cannot unwrap data key: .*DisabledException'
refused 3 "^kmsvol: volume 'V': .*cannot unwrap data key" "$KMSVOL" check V --repair-to R
not_ok 'nothing is made' test -e R
aws kms enable-key --key-id "$KEY_ARN"
touch V/stranger V/segments/stranger
said=$("$KMSVOL" check V)
is 'names that do not belong are no damage' $? 0
is 'but are told' "$(grep -c 'stranger: note: no file of a volume has this name$' <<<"$said")" 2
rm V/stranger V/segments/stranger
ok 'nothing of it was changed' diff -r -x lock V GOOD

# saved CLAIM: R has what V had, and zeros where the report of the check says that blocks are damaged.
saved() {
	local off len
	cp --sparse=always IMAGE WANTED
	while read -r off len; do
		fallocate -p -o "$off" -l "$len" WANTED
	done < <(jq -r '.findings[] | select(.blocks) | "\(.volume_offset) \(.volume_length)"' report)
	"$KMSVOL" export R OUT >/dev/null
	ok "$1: the rest is saved bit for bit" cmp OUT WANTED
	is "$1: the saved volume is whole" "$("$KMSVOL" check R --json | jq -r .state)" intact
	ok "$1: with the report in it" jq -e '.findings == input.findings' R/repair-report.json report
	is "$1: it is the same volume" "$(jq -r .id R/volume.json)" "$(jq -r .id V/volume.json)"
}

# damaged CLAIM JQ: check says what JQ asks for, with 4, and saves the rest.
damaged() {
	cp -a V BEFORE
	"$KMSVOL" check V --repair-to R --json >report 2>stderr
	is "$1: 4" "$? $(cat stderr)" '4 '
	ok "$1: is told" jq -e "$2" report
	saved "$1"
	ok "$1: the volume is as it was" diff -r -x lock V BEFORE
	rm -rf R V BEFORE
	cp -a GOOD V
}

# --- damages at places known
segment=segments/$(ls V/segments | head -n 1)
"$DIFF" flip "V/$segment" $(((128 + 48 + 4112 * 5 + 100) * 8))
damaged 'a block' "[.findings[] | select(.file == \"$segment\" and .offset == 20736 and .length == 4112 and .blocks == 1 and
	.volume_length == 4096)] | length == 1"
"$DIFF" flip "V/$segment" $((60 * 8))
damaged 'a salt' ".findings[0].file == \"$segment\" and .damaged_blocks > 0"
"$DIFF" flip "V/$segment" $((34 * 8))
damaged 'a segment header, but not its salt' ".findings[0].file == \"$segment\" and .damaged_blocks == 0"
"$DIFF" flip "V/$segment" $(((128 + 20) * 8))
damaged 'a record header: its blocks are found by the map' \
	"[.findings[] | select(.file == \"$segment\" and .offset == 128)] | length == 1"
truncate -s 300000 "V/$segment"
damaged 'a file cut short' "[.findings[] | select(.file == \"$segment\" and .what == \"the file is cut short\")] | length > 0"
rm "V/$segment"
damaged 'a missing segment' "[.findings[] | select(.file == \"$segment\" and .what == \"the file is missing\")] | length > 0"
"$DIFF" flip V/root.0 1000
damaged 'a root: the other one is there' '.damaged_blocks == 0 and .findings[0].file == "root.0"'
rm V/root.0 V/root.1
damaged 'no roots: the map is made anew' '.damaged_blocks == 0 and .map_rebuilt and ([.findings[].file] | sort == ["root.0", "root.1"])'
rm V/map
damaged 'no map: it is made anew' '.damaged_blocks == 0 and .map_rebuilt and .findings[0].file == "map"'
truncate -s 20000 V/map
damaged 'half a map' '.damaged_blocks == 0 and .map_rebuilt and .findings[0].file == "map"'
for ((i = 0; i < 20; i++)); do
	f=$(cd V && ls segments/* | shuf -n 1 --random-source=<(yes "$RANDOM"))
	"$DIFF" flip "V/$f" $(((RANDOM << 15 | RANDOM) % ($(stat -c %s "V/$f") * 8)))
done
damaged 'twenty bits' '.damages > 0'

# --- the header
jq '.size_bytes = 16777216' GOOD/volume.json >V/volume.json
said=$("$KMSVOL" check V)
is 'an edited header: 4' $? 4
like 'is told' "$said" '^volume.json: its seal is wrong: it was edited after it was sealed$'
refused_text=$("$KMSVOL" check V --repair-to R 2>&1 >/dev/null)
is 'nothing can be saved by it' "$? $refused_text" \
	"4 kmsvol: volume 'V': volume.json is not what was sealed, and nothing can be saved without it: put a copy of it back"
echo '{' >V/volume.json
said=$("$KMSVOL" check V)
is 'a header that is none: 4' $? 4
like 'is told' "$said" '^volume.json: '
rm V/volume.json
refused 1 "^kmsvol: volume 'V': this is no volume: volume.json is missing$" "$KMSVOL" check V
rm -rf V && cp -a GOOD V
mkdir full && touch full/x
refused 1 "^kmsvol: volume 'V': 'full': the directory exists and is not empty$" "$KMSVOL" check V --repair-to full

# --- without the key
"$DIFF" flip "V/$segment" $(((128 + 20) * 8))
said=$("$KMSVOL" check V --no-key --json)
is 'a record header is found damaged without the key: 4' "$? $(jq -r '.findings[0].file' <<<"$said")" "4 $segment"
rm -rf V && cp -a GOOD V

# --- a daemon that died, and a saved volume in use
mount_volume V D
dd if=/dev/urandom of=D/disk bs=4K count=200 seek=1000 conv=notrunc,fsync status=none
cp --sparse=always D/disk IMAGE
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
"$KMSVOL" unmount D
is 'after a crash it is intact' "$("$KMSVOL" check V --json | jq -r .state)" intact
ok 'and its log counts' "$KMSVOL" check V --repair-to R
ok 'is saved' cmp <("$KMSVOL" export R -) IMAGE
mount_volume R D
ok 'the saved volume is mounted' cmp D/disk IMAGE
ok 'and written to' dd if=/dev/urandom of=D/disk bs=4K count=20 conv=notrunc,fsync status=none
done_testing
