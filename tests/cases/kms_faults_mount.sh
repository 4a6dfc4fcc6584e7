#!/bin/bash
# A KMS that throttles, stalls, fails, closes connections and cuts answers short: what kmsvol repeats, what a mounted
# volume lives through, and a key that is deleted while it is mounted, in seconds by kmsd's clock.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

RECOVERABLE=inaccessible-encryption-credentials-recoverable
expect_stderr '.'
start_kmsd
export KMSD_DATA_DIR=$KMSD_DIR AWS_MAX_ATTEMPTS=3
make_key alias/demo

control() {
	"$KMSD" control "$@"
}

# Each fault has met as many requests as it should.
none_left() {
	[ "$(control fault list)" = 'fault        none' ]
}

for kind in throttle error drop truncate; do
	control fault add --kind "$kind" --operation GenerateDataKeyWithoutPlaintext --count 2 >/dev/null
	ok "create: two of $kind are repeated" "$KMSVOL" create "V-$kind" --size 64M --key-id "$KEY_ARN"
	ok "create: both were met" none_left
done
control fault add --kind error --exception DependencyTimeoutException --operation GenerateDataKeyWithoutPlaintext --count 3 >/dev/null
"$KMSVOL" create V3 --size 64M --key-id "$KEY_ARN" >out 2>&1
is 'create: three are too many for three tries' $? 1
like 'create: and it says what KMS said' "$(cat out)" DependencyTimeoutException
ok 'create: no try is left over' none_left

mkdir D
later release D
control fault add --kind latency --delay 400ms --operation Decrypt >/dev/null
for kind in throttle error drop truncate; do
	control fault add --kind "$kind" --operation Decrypt --count 2 >/dev/null
	ok "mount: two of $kind are repeated, each late" "$KMSVOL" mount "V-$kind" D
	"$KMSVOL" unmount D
done
control fault clear >/dev/null

# --- an outage of a mounted volume
V=V-error
export AWS_MAX_ATTEMPTS=1 # each check is one try, so that an outage shows at once
mount_volume $V D --on-key-loss hang --check-interval 300ms --kms-outage-grace 6s
result() {
	[ "$("$KMSVOL" status $V --json | jq -r .last_check_result)" = "$1" ]
}
like 'outage: the volume is used' "$(dd if=/dev/zero of=D/disk bs=64K count=4 conv=notrunc,fsync 2>&1)" copied
for kind in error drop throttle; do
	control fault add --kind "$kind" --operation Decrypt --for 2s >/dev/null
	ok "outage: $kind: the check shows it" wait_for 10 result transient
	ok "outage: $kind: shorter than the grace, it is over" wait_for 20 result ok
done
ok 'outage: the volume never left its state' state_is $V available
not_ok 'outage: and no event says so' grep -q state-changed $V/events.jsonl
control fault add --kind error --exception ServiceUnavailable --operation Decrypt >/dev/null
ok 'outage: a longer one counts as a lost key' wait_for 30 state_is $V "$RECOVERABLE"
control fault clear >/dev/null
ok 'outage: KMS is back, and so is the volume' wait_for 20 state_is $V available
ok 'outage: a read works' dd if=D/disk of=/dev/null bs=64K count=4 status=none

# --- the key is deleted: 7 days in a moment
aws kms schedule-key-deletion --key-id "$KEY_ARN" --pending-window-in-days 7 >/dev/null
ok 'deletion: the loss is seen' wait_for 20 state_is $V "$RECOVERABLE"
like 'deletion: pending' "$("$KMSVOL" status $V --json)" KMSInvalidStateException
control clock set +7d >/dev/null
not_found() {
	"$KMSVOL" status $V --json | grep -q NotFoundException
}
ok 'deletion: done' wait_for 20 not_found
ok 'deletion: it unmounts by force' timeout 20 "$KMSVOL" unmount --force D
refused 3 'NotFoundException|does not exist|customer master key' "$KMSVOL" mount $V D
done_testing
