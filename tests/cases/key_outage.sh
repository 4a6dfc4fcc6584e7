#!/bin/bash
# long
# alone: it measures how soon things happen
# The KMS key of a mounted volume is disabled, deleted, enabled again, or KMS itself is away: what I/O does
# with each --on-key-loss, what status and events say, and that nothing that was written is lost.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

RECOVERABLE=inaccessible-encryption-credentials-recoverable
expect_stderr '.'
start_kmsd
make_key alias/demo
mkdir D
later release D
dd if=/dev/urandom of=first bs=64K count=16 status=none
dd if=/dev/urandom of=second bs=64K count=16 status=none
BLOCKS=16

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# within MS CLAIM CMD...: CMD becomes true that soon.
within() {
	local begun took
	begun=$(now_ms)
	if wait_for 30 "${@:3}"; then
		took=$(($(now_ms) - begun))
		ok "$2 within $1 ms (took $took)" test "$took" -le "$1"
	else
		fail "$2 within $1 ms" "not in 30 s; state $("$KMSVOL" status V --json | jq -r .state)"
	fi
}

disable() {
	aws kms disable-key --key-id "$KEY_ARN"
}

enable() {
	aws kms enable-key --key-id "$KEY_ARN"
}

dead() {
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"
}

read_first() {
	dd if=D/disk of=got bs=64K count="$BLOCKS" iflag=direct "$@"
}

write_second() {
	dd if=second of=D/disk bs=64K seek=100 conv=notrunc,fsync "$@"
}

same() { # FILE PLACE
	cmp <(dd if=D/disk bs=64K skip="$2" count="$BLOCKS" status=none) "$1"
}

begin() {
	rm -rf V
	make_volume V
	mount_volume V D --on-key-loss "$1" --check-interval 1s "${@:2}"
	dd if=first of=D/disk bs=64K conv=notrunc,fsync status=none
	PID=$("$KMSVOL" status V --json | jq .pid)
}

# The daemon and what waits for it sleep so that a signal can end them.
nothing_in_d() {
	local pid
	for pid in "$PID" "$@"; do
		cat /proc/"$pid"/task/*/status 2>/dev/null | grep -q '^State:.D' && return 1
	done
	return 0
}

transitions() {
	jq -r 'select(.event == "state-changed") | .to' V/events.jsonl | paste -sd ' '
}

# --- hang
begin hang
disable
within 3500 'hang: the loss is seen' state_is V "$RECOVERABLE"
like 'hang: status says why' "$("$KMSVOL" status V --json)" DisabledException
like 'hang: DIR/status says it too' "$(timeout 5 cat D/status)" "$RECOVERABLE"
read_first >read.out 2>&1 &
reader=$!
later end_process "$reader"
write_second >write.out 2>&1 &
writer=$!
later end_process "$writer"
waits() {
	[ "$("$KMSVOL" status V --json | jq .waiting_requests)" -ge "$1" ]
}
within 2000 'hang: two requests wait' waits 2
ok 'hang: the reader waits' kill -0 "$reader"
ok 'hang: the writer waits' kill -0 "$writer"
ok 'hang: nobody is in uninterruptible sleep' nothing_in_d "$reader" "$writer"
kill -TERM "$reader"
within 1000 'hang: SIGTERM ends the reader' dead "$reader"
kill -0 "$writer" || fail 'hang: the writer still waits'
refused 1 'cannot unmount: its KMS key is lost and its I/O waits' "$KMSVOL" unmount D

# 40 more, each a block of its own; status is readable all the time.
crowd=()
for n in $(seq 40); do
	dd if=first of=D/disk bs=4K count=1 skip="$n" seek=$((8000 + n)) oflag=direct conv=notrunc status=none 2>"crowd.$n" &
	crowd+=($!)
	later end_process "$!"
done
within 5000 'hang: 41 requests wait' waits 41
ok 'hang: DIR/status can be read' timeout 5 cat D/status
ok 'hang: nobody of them is in uninterruptible sleep' nothing_in_d "${crowd[@]}"
not_ok 'hang: no plaintext was given' test -s got
enable
within 5000 'hang: the key is back, and so is the volume' state_is V available
within 2000 'hang: the writer is answered' dead "$writer"
wait "$writer"
is 'hang: with success' "$?" 0
bad=0
for n in "${crowd[@]}"; do
	wait "$n" || bad=$((bad + 1))
done
is 'hang: and so are all others' "$bad" 0
ok 'hang: what the writer wrote is there' same second 100
for n in $(seq 40); do
	cmp <(dd if=D/disk bs=4K skip=$((8000 + n)) count=1 status=none) \
		<(dd if=first bs=4K skip="$n" count=1 status=none) >/dev/null || bad=$((bad + 1))
done
is 'hang: and what the others wrote' "$bad" 0
ok 'hang: what was written before is there' same first 0
is 'hang: the events' "$(transitions)" "$RECOVERABLE starting available"
is 'hang: with their RDS names' "$(jq -r '.rds_event // empty' V/events.jsonl | paste -sd ' ')" \
	'RDS-EVENT-0419 RDS-EVENT-0420'

# In order: writes to one block, issued one after the other, are answered in that order.
disable
within 3500 'order: the loss is seen' state_is V "$RECOVERABLE"
ordered=()
for n in 1 2 3 4 5 6 7 8; do
	dd if=<(yes "$n" | head -c 4096) of=D/disk bs=4K count=1 seek=9000 iflag=fullblock oflag=direct conv=notrunc status=none &
	ordered+=($!)
	wait_for 5 waits "$n"
done
enable
for n in "${ordered[@]}"; do wait "$n"; done
is 'order: the last write of eight to one block is the one that stays' \
	"$(dd if=D/disk bs=4K skip=9000 count=1 status=none | head -n 1)" 8

[ -z "${HANG_ONLY:-}" ] || done_testing

# --- scheduled for deletion, and taken back
aws kms schedule-key-deletion --key-id "$KEY_ARN" --pending-window-in-days 7 >/dev/null
within 3500 'deletion: the loss is seen' state_is V "$RECOVERABLE"
like 'deletion: status says why' "$("$KMSVOL" status V --json)" KMSInvalidStateException
aws kms cancel-key-deletion --key-id "$KEY_ARN" >/dev/null
sleep 1.5
ok 'deletion: cancelled, the key is still disabled' state_is V "$RECOVERABLE"
enable
within 5000 'deletion: enabled, the volume is back' state_is V available
ok 'deletion: all is there' same first 0

# --- unmount --force while requests wait
disable
within 3500 'force: the loss is seen' state_is V "$RECOVERABLE"
read_first >read.out 2>&1 &
reader=$!
later end_process "$reader"
wait_for 5 waits 1
(sleep 0.2; exec timeout 20 "$KMSVOL" unmount --force D) >force.out 2>&1
is 'force: unmount --force ends' "$?" 0
wait_for 5 dead "$reader"
wait "$reader"
is 'force: the reader failed' "$?" 1
like 'force: with EIO' "$(cat read.out)" 'Input/output error'
not_ok 'force: nothing is mounted' mountpoint -q D
ok 'force: the daemon is gone' wait_for 5 dead "$PID"
refused 3 DisabledException "$KMSVOL" mount V D
enable
mount_volume V D
ok 'force: nothing was lost' same second 100
"$KMSVOL" unmount D

# --- error
begin error
disable
within 3500 'error: the loss is seen' state_is V "$RECOVERABLE"
said=$(read_first 2>&1)
like 'error: a read' "$said" 'Input/output error'
said=$(write_second 2>&1)
like 'error: a write' "$said" 'Input/output error'
not_ok 'error: fsync' dd if=/dev/null of=D/disk bs=1 conv=notrunc,fsync status=none
ok 'error: DIR/status can be read' timeout 5 cat D/status
enable
within 5000 'error: the volume is back' state_is V available
ok 'error: what was flushed is there' same first 0
ok 'error: a write works' write_second status=none
is 'error: the events' "$(transitions)" "$RECOVERABLE starting available"
disable
within 3500 'error: lost once more' state_is V "$RECOVERABLE"
ok 'error: it unmounts without its key' timeout 20 "$KMSVOL" unmount D
enable
mount_volume V D
ok 'error: nothing was lost' same second 100
"$KMSVOL" unmount D

# --- read-only
begin read-only
disable
within 3500 'read-only: the loss is seen' state_is V read-only
ok 'read-only: a read works' read_first status=none
ok 'read-only: and is right' cmp got first
said=$(write_second 2>&1)
like 'read-only: a write' "$said" 'Read-only file system'
not_ok 'read-only: a discard' fallocate -p -o 0 -l 4096 D/disk
enable
within 5000 'read-only: the volume is back' state_is V available
ok 'read-only: a write works' write_second status=none
ok 'read-only: all is there' same first 0
is 'read-only: the events' "$(transitions)" 'read-only available'
"$KMSVOL" unmount D

# --- none
begin none
disable
sleep 2.5
ok 'none: the mounted volume lives on' state_is V available
ok 'none: a write works' write_second status=none
ok 'none: it unmounts' "$KMSVOL" unmount D
refused 3 DisabledException "$KMSVOL" mount V D
enable

# --- KMS away: nothing is known of the key, so nothing changes until the grace is over
begin hang --kms-outage-grace 5s
end_process "$KMSD_PID"
failing() {
	[ "$("$KMSVOL" status V --json | jq -r .last_check_result)" = transient ]
}
within 6000 'outage: status shows it' failing
like 'outage: with the error' "$("$KMSVOL" status V --json)" '127\.0\.0\.1|onnect'
ok 'outage: it is available' state_is V available
ok 'outage: a write works' write_second status=none
ok 'outage: a read works' same second 100
within 15000 'outage: after the grace the key counts as lost' state_is V "$RECOVERABLE"
read_first >read.out 2>&1 &
reader=$!
later end_process "$reader"
within 2000 'outage: a reader waits' waits 1
start kmsd-2 "$KMSD" --data-dir "$KMSD_DIR" --listen "127.0.0.1:$KMSD_PORT"
KMSD_PID=$STARTED
within 20000 'outage: KMS is back, and so is the volume' state_is V available
within 2000 'outage: the reader is answered' dead "$reader"
wait "$reader"
is 'outage: with success' "$?" 0
ok 'outage: with the data' cmp got first
ok 'outage: all is there' same second 100
ok 'outage: it unmounts' "$KMSVOL" unmount D
done_testing
