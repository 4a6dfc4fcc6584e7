#!/bin/bash
# export and import: raw images out of a volume and into it, by files, pipes and devices; sizes, holes,
# interrupts, full disks.
. "$(dirname "$0")/../lib/case.sh"
need aws jq script
need_fuse

SIZE=$((64 << 20))
start_kmsd
make_key alias/demo
make_volume V --size $SIZE
make_volume W --size $SIZE

# --- an image with data, zeros and holes, of an odd length
truncate -s $((40 << 20)) IMAGE
dd if=/dev/urandom of=IMAGE bs=64K count=100 conv=notrunc status=none
dd if=/dev/zero of=IMAGE bs=64K count=60 seek=100 conv=notrunc status=none
dd if=/dev/urandom of=IMAGE bs=4K count=1 seek=5000 conv=notrunc status=none
dd if=/dev/urandom of=IMAGE bs=777 count=3 seek=$((40 << 20)) oflag=seek_bytes conv=notrunc status=none
cp IMAGE FULL
truncate -s $SIZE FULL # what a volume of this size then holds

said=$("$KMSVOL" import IMAGE V --json)
is 'import ends with 0' $? 0
is 'and says how much the image had' "$(jq -r .size_bytes <<<"$said")" "$(stat -c %s IMAGE)"
ok 'zeros and holes became holes' test "$(jq -r .data_bytes <<<"$said")" -lt $((8 << 20))
said=$("$KMSVOL" export V OUT --json)
is 'export ends with 0' $? 0
is 'the image has the size of the volume' "$(jq -r .size_bytes <<<"$said") $(stat -c %s OUT)" "$SIZE $SIZE"
ok 'it is what was imported, and zeros' cmp OUT FULL
ok 'and sparse' test $(($(stat -c %b OUT) * 512)) -lt $((9 << 20))
is 'nobody else may read it' "$(stat -c %a OUT)" 600
is 'the other files are gone' "$(ls -A | grep -c kmsvol-export)" 0
like 'without --json it is lines' "$("$KMSVOL" export V OUT)" '^size_bytes: +67108864$'
mount_volume V D --read-only
ok 'and it is what the mounted volume shows' cmp D/disk FULL

# --- a mounted volume
refused 1 "^kmsvol: volume 'V': in use by process [0-9]+, mounted at '.*/D'; export a snapshot of it, or read its file 'disk'$" \
	"$KMSVOL" export V OUT2
refused 1 "^kmsvol: volume 'V': in use by process [0-9]+.*; unmount it, or write to its file 'disk'$" \
	"$KMSVOL" import IMAGE V
not_ok 'no file was made' test -e OUT2
"$KMSVOL" unmount D

# --- pipes
"$KMSVOL" export V - >PIPED 2>stderr
is 'export to a file on standard output' "$? $(cat stderr)" '0 '
ok 'is the same' cmp PIPED FULL
"$KMSVOL" export V - | "$KMSVOL" import - W >said
is 'from pipe to pipe' "${PIPESTATUS[*]}" '0 0'
ok 'is the same' cmp <("$KMSVOL" export W -) FULL
ok 'holes stay holes through a pipe' test "$("$KMSVOL" export W X --json | jq .data_bytes)" -lt $((8 << 20))
mkfifo FIFO
"$KMSVOL" export V FIFO >said &
ok 'a named pipe' cmp FIFO FULL
wait $!
is 'is written to' $? 0
ok 'and still there' test -p FIFO
"$KMSVOL" export V - 2>stderr | head -c 100000 >/dev/null
is 'a reader that ends ends it' "${PIPESTATUS[0]} $(cat stderr)" '141 '
refused 2 '^kmsvol: export: standard output is a terminal$' \
	sh -c 'script -qec "$1 export V -" /dev/null </dev/null >.script; code=$?; tr -d "\r" <.script >&2; exit $code' - "$KMSVOL"

# --- what was there before
"$KMSVOL" import FULL W >said
head -c 5000 /dev/urandom >SMALL
said=$("$KMSVOL" import SMALL W --json)
truncate -s $SIZE SMALL
ok 'behind a smaller image the volume reads as zeros' cmp <("$KMSVOL" export W -) SMALL
ok 'and has its space back' test "$("$KMSVOL" export W X --json | jq .data_bytes)" -le 65536
: >EMPTY
ok 'an empty image' "$KMSVOL" import EMPTY W
ok 'makes an empty volume' cmp -n $SIZE <("$KMSVOL" export W -) /dev/zero
echo old >X
chmod 644 X
ok 'a file that is there is replaced' "$KMSVOL" export V X
ok 'by the image' cmp X FULL

# --- sizes
truncate -s $((SIZE + 1)) LARGE
refused 1 "^kmsvol: volume 'V': the image '-' is empty; nothing was changed$" sh -c 'false | "$1" import - V' - "$KMSVOL"
refused 1 "^kmsvol: volume 'V': the image 'LARGE' has 67108865 bytes, and the volume only 67108864; nothing was changed$" \
	"$KMSVOL" import LARGE V
ok 'nothing was changed' cmp <("$KMSVOL" export V -) FULL
dd if=/dev/urandom of=LARGE bs=1M count=66 status=none
refused 1 "^kmsvol: import of '-': the volume 'W' now has a part of it: the image is larger than the volume's 67108864 bytes$" \
	sh -c 'cat LARGE | "$1" import - W' - "$KMSVOL"

# --- bad input
refused 1 "^kmsvol: 'NONE': No such file or directory$" "$KMSVOL" import NONE V
refused 1 "^kmsvol: '.': Is a directory$" "$KMSVOL" import . V
refused 1 "^kmsvol: volume 'NONE': No such file or directory$" "$KMSVOL" export NONE OUT2
refused 1 "^kmsvol: '[^']*nowhere/OUT': No such file or directory$" "$KMSVOL" export V nowhere/OUT
refused 1 "^kmsvol: '.': Is a directory$" "$KMSVOL" export V .
aws kms disable-key --key-id "$KEY_ARN"
refused 3 "^kmsvol: volume 'V': (.*: )?cannot unwrap data key: .*DisabledException" "$KMSVOL" export V OUT2
refused 3 "^kmsvol: volume 'V': (.*: )?cannot unwrap data key: .*DisabledException" "$KMSVOL" import IMAGE V
not_ok 'no file was made' test -e OUT2
aws kms enable-key --key-id "$KEY_ARN"

# --- a terminal
script -qec "$KMSVOL export V X" typescript </dev/null >/dev/null
ok 'a terminal shows no progress of what is done at once' test "$(tr '\r' '\n' <typescript | grep -c 'left')" -le 3
(cat IMAGE; sleep 1; cat /dev/null) >FIFO &
script -qec "$KMSVOL import FIFO W" typescript </dev/null >/dev/null
wait $!
like 'a terminal shows how far it is' "$(tr '\r' '\n' <typescript)" '^import: [0-9.]+ MiB, [0-9.]+ [KMG]iB/s'

# --- interrupts. The image comes through a pipe that stays open, so the import is under way for sure.
sleep 100 >FIFO &
sleeper=$!
later kill $sleeper
cat IMAGE >FIFO &
make_volume N
start import "$KMSVOL" import FIFO N
wait_for 20 sh -c 'test "$(du -sk N | cut -f 1)" -gt 1000'
kill -TERM "$STARTED"
wait "$STARTED"
is 'an interrupted import dies of the signal' $? 143
like 'and says what is left' "$(cat import.stderr)" \
	"^kmsvol: import of 'FIFO': the volume 'N' now has a part of it: interrupted$"
expect_stderr 'has a part of it: interrupted'
ok 'the volume is whole' "$KMSVOL" export N X
kill $sleeper

mkdir small
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=4m tmpfs small; then
	later umount -l "$DIR/small"
	refused 1 "^kmsvol: export of 'V' to 'small/OUT': write at [0-9]+: No space left on device$" \
		"$KMSVOL" export V small/OUT
	is 'and nothing is left there' "$(ls -A small)" ''
	echo precious >small/OUT
	refused 1 'No space left on device$' "$KMSVOL" export V small/OUT
	is 'what was there stays' "$(cat small/OUT)" precious
fi
if [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ] && truncate -s $SIZE BACK &&
	dd if=/dev/urandom of=BACK bs=1M count=64 conv=notrunc status=none && loop=$(losetup -f --show BACK); then
	later losetup -d "$loop"
	ok 'onto a block device' "$KMSVOL" export V "$loop"
	ok 'all of it is written, holes too' cmp "$loop" FULL
	ok 'from a block device' "$KMSVOL" import "$loop" W
	ok 'is the same' cmp <("$KMSVOL" export W -) FULL
	make_volume BIG --size 128M
	refused 1 "^kmsvol: '$loop': it has 67108864 bytes, and the image 134217728$" "$KMSVOL" export BIG "$loop"
fi
done_testing
