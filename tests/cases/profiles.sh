#!/bin/bash
# alone: it measures how soon things happen
# Profiles: each does what its page in docs says, in its times divided by --time-scale; single settings count
# beside it; the state that is for good is reached, also while no daemon runs, and stays.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/demo
expect_stderr .
mkdir D
INACCESSIBLE=inaccessible-encryption-credentials

disable() { aws kms disable-key --key-id "$KEY_ARN"; }
enable() { aws kms enable-key --key-id "$KEY_ARN"; }
status_of() { "$KMSVOL" status V --json | jq -r ".$1"; }
read_block() { timeout 2 dd if=D/disk bs=4096 count=1 status=none of=/dev/null; }
now_ms() { echo "${EPOCHREALTIME/./}" | cut -c 1-13; }

# times of FROM to TO in events.jsonl, in ms; the newest.
event_ms() {
	local t
	t=$(jq -r "select(.to == \"$1\") | .time" V/events.jsonl | tail -n 1)
	date -d "$t" +%s%3N
}

# within CLAIM FROM_MS TO_MS LEAST MOST
within() {
	local took=$(($3 - $2))
	note "$1: $took ms"
	ok "$1: in $4..$5 ms, was $took" test "$took" -ge "$4" -a "$took" -le "$5"
}

make_volume V
printf 'hello' >hello

# --- aurora, 600 times as fast: a check each 100 ms, 700 ms of warning, 3 s until it comes back
mount_volume V D --profile aurora --time-scale 600
dd if=hello of=D/disk conv=notrunc,fsync status=none
is 'aurora: status names it' "$(status_of profile) $(status_of time_scale) $(status_of on_key_loss)" 'aurora 600 hang'
is 'aurora: its times' "$(status_of check_interval_ms) $(status_of grace_ms) $(status_of recover_delay_ms)" '100 700 3000'
begin=$(now_ms)
disable
done=$(now_ms)
ok 'aurora: unreachable' wait_for 20 state_is V $INACCESSIBLE-recoverable
within 'aurora: disable-key to the warning' "$begin" "$(event_ms warned)" 0 $((done - begin + 200))
within 'aurora: the warning to unreachable' "$(event_ms warned)" "$(event_ms $INACCESSIBLE-recoverable)" 690 900
is 'aurora: RDS events' "$(jq -r 'select(.rds_event) | .rds_event' V/events.jsonl | tr '\n' ' ')" \
	'RDS-EVENT-0418 RDS-EVENT-0419 '
like 'aurora: when it is for good' "$(status_of terminal_at)" '^20[0-9-]+T[0-9:.]+Z$'
read_block
is 'aurora: I/O waits' $? 124
begin=$(now_ms)
enable
done=$(now_ms)
ok 'aurora: comes back by itself' wait_for 20 state_is V available
within 'aurora: enable-key to starting' "$begin" "$(event_ms starting)" 3000 $((done - begin + 3300))
is 'aurora: what was written is there' "$(head -c 5 D/disk)" hello
ok 'aurora: no outage is kept' test ! -e V/outage.json
disable
ok 'aurora: unreachable again' wait_for 20 state_is V $INACCESSIBLE-recoverable
enable
ok 'aurora: start does not wait' "$KMSVOL" start V
begin=$(now_ms)
ok 'aurora: and it is there' wait_for 2 state_is V available
refused 1 'volume is in available state but expected it to be one of' "$KMSVOL" start V
ok 'aurora: unmount' "$KMSVOL" unmount D

# --- the others
mount_volume V D --profile ebs --time-scale 600
disable
sleep 0.5 # five intervals of what the others ask in
is 'ebs: nothing happens to a mounted volume' "$(status_of state) $(status_of kms_calls)" 'available 1'
ok 'ebs: I/O goes on' dd if=hello of=D/disk conv=notrunc,fsync status=none
ok 'ebs: unmount' "$KMSVOL" unmount D
refused 3 'DisabledException' "$KMSVOL" mount V D --profile ebs
enable

mount_volume V D --profile dynamodb --time-scale 1000
is 'dynamodb: its interval' "$(status_of check_interval_ms)" 300
disable
ok 'dynamodb: unreachable' wait_for 20 state_is V $INACCESSIBLE-recoverable
not_ok 'dynamodb: I/O fails' read_block
enable
ok 'dynamodb: back with the key' wait_for 20 state_is V available
ok 'dynamodb: and I/O' read_block
ok 'dynamodb: unmount' "$KMSVOL" unmount D

mount_volume V D --profile read-only --time-scale 600
disable
ok 'read-only: its state' wait_for 20 state_is V read-only
ok 'read-only: reads' read_block
like 'read-only: no writes' "$(dd if=hello of=D/disk conv=notrunc,fsync 2>&1)" 'Read-only file system'
enable
ok 'read-only: back' wait_for 20 state_is V available
ok 'read-only: unmount' "$KMSVOL" unmount D

mount_volume V D --profile strict --on-key-loss hang --check-interval 150ms
is 'a setting beside a profile counts' "$(status_of on_key_loss) $(status_of check_interval_ms) $(status_of kms_outage_grace_ms)" \
	'hang 150 10000'
ok 'strict: unmount' "$KMSVOL" unmount D

# --- for good
mount_volume V D --profile dynamodb --time-scale 3000 --terminal-after 1500ms
dd if=hello of=D/disk bs=4096 seek=1 conv=notrunc,fsync status=none
disable
ok 'it is given up after its time' wait_for 20 state_is V $INACCESSIBLE
# It counts from the moment the key was lost; the event comes when all is wiped, on a busy machine a bit later.
within 'unreachable to given up' "$(event_ms $INACCESSIBLE-recoverable)" "$(event_ms $INACCESSIBLE)" 1200 1700
enable
sleep 0.5
is 'the key does not bring it back' "$(status_of state)" $INACCESSIBLE
refused 1 "volume is in $INACCESSIBLE state" "$KMSVOL" start V
ok 'it unmounts' "$KMSVOL" unmount D
is 'and is still given up' "$(status_of state)" $INACCESSIBLE
refused 3 "state $INACCESSIBLE: it was without its KMS key from .*kmsvol restore" "$KMSVOL" mount V D
rm V/outage.json

mount_volume V D --profile dynamodb --time-scale 3000 --terminal-after 4s
disable
ok 'unreachable once more' wait_for 20 state_is V $INACCESSIBLE-recoverable
kill -KILL "$(status_of pid)"
release D
is 'status knows since when' "$(status_of inaccessible_since)" "$(jq -r .since V/outage.json)"
refused 3 DisabledException "$KMSVOL" mount V D
enable
mount_volume V D --profile dynamodb --time-scale 3000 --terminal-after 2s
is 'in time: a mount serves it' "$(status_of state)" available
is 'and tells that the key is back' "$(jq -r '.rds_event // empty' V/events.jsonl | tail -n 1)" RDS-EVENT-0420
disable
ok 'unreachable once more' wait_for 20 state_is V $INACCESSIBLE-recoverable
kill -KILL "$(status_of pid)"
release D
enable
ok 'the time goes on while no daemon runs' wait_for 10 sh -c \
	"'$KMSVOL' status V --json | jq -e '.state == \"$INACCESSIBLE\"'"
refused 3 "state $INACCESSIBLE" "$KMSVOL" mount V D

# --- a daemon that dies in a state before that: a mount asks KMS, whatever the state was
rm -f V/outage.json
for row in 'warned aurora 60' 'read-only read-only 600'; do
	read -r state profile scale <<<"$row"
	mount_volume V D --profile "$profile" --time-scale "$scale"
	disable
	ok "$state: reached" wait_for 20 state_is V "$state"
	kill -KILL "$(status_of pid)"
	release D
	is "$state: nothing is kept of it" "$(status_of state) $(test -e V/outage.json && echo kept)" 'unmounted '
	refused 3 DisabledException "$KMSVOL" mount V D --profile "$profile"
	enable
	mount_volume V D --profile "$profile" --time-scale "$scale"
	is "$state: with the key it is available" "$(status_of state)" available
	is "$state: and has what was written" "$(head -c 5 D/disk)" hello
	ok "$state: unmount" "$KMSVOL" unmount D
done

# --- wrong usage
refused 2 "mount: --profile: 'rds' is none of default, ebs, aurora, dynamodb, read-only, strict" "$KMSVOL" mount V D --profile rds
refused 2 "mount: --time-scale: '0' is no number from 1 to 1000000" "$KMSVOL" mount V D --time-scale 0
refused 2 "mount: --time-scale: '1.5' is no number" "$KMSVOL" mount V D --time-scale 1.5
printf '{' >V/outage.json
refused 4 'outage.json: not JSON' "$KMSVOL" mount V D
done_testing
