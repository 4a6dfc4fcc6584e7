#!/bin/bash
# kmsd control: the clock, propagation, throttling and faults, as the aws command and curl see them.
. "$(dirname "$0")/../lib/case.sh"
need aws jq curl

start_kmsd
export KMSD_DATA_DIR=$KMSD_DIR
make_key alias/demo
ID=${KEY_ARN##*/}

control() {
	"$KMSD" control "$@"
}

text() {
	aws kms "$@" --output text
}

# type OPERATION JSON: of the exception; "" for none.
type() {
	post "$@" 2>/dev/null | jq -r '.__type // empty'
}

# event NAME: the newest record of that name, by LookupEvents.
event() {
	aws cloudtrail lookup-events --lookup-attributes "AttributeKey=EventName,AttributeValue=$1" --max-items 1 \
		--query 'Events[0].CloudTrailEvent' --output text
}

# --- who may, and wrong usage

is 'nothing is on by default' "$(control status | sed 's/[0-9].*Z,/NOW,/')" "clock        NOW, real time
propagation  at once
throttle     off
fault        none"
is 'the file with the secret is for its owner' "$(stat -c '%a %U' "$KMSD_DIR/control")" "600 $(id -un)"
URL=$(sed -n 's/^url = "\(.*\)"/\1/p' "$KMSD_DIR/control")
is 'curl takes it as it is' "$(curl -sS -K "$KMSD_DIR/control" | jq -c .clock.offset_ms)" 0
is 'without the secret: 403' "$(curl -sS -o out -w '%{http_code}' "$URL")" 403
like 'which says what is wanted' "$(cat out)" "wants the secret of the data directory's file 'control'"
is 'with another: 403' "$(curl -sS -o out -w '%{http_code}' -H "Authorization: Bearer $(printf 0%.0s {1..64})" "$URL")" 403
not_ok 'another address of this machine does not answer' curl -sS -m 5 "${URL/127.0.0.1/127.0.0.2}"
for address in $(hostname -I 2>/dev/null | tr ' ' '\n' | grep -E '^[0-9.]+$' | head -n 1); do
	not_ok "nor does $address" curl -sS -m 5 "${URL/127.0.0.1/$address}"
done
is 'the KMS port does not listen to control' "$(curl -sS "$AWS_ENDPOINT_URL/control" | jq -r .__type)" UnknownOperationException
is 'a wrong request: 400' "$(curl -sS -o out -w '%{http_code}' -K "$KMSD_DIR/control" -d '{"clock":{"sat":"+7d"}}')" 400
is 'which says why' "$(cat out)" "{\"error\":\"clock: it has no member 'sat'\"}"
help=$(control --help)
is '--help ends with 0' $? 0
like '--help shows faults' "$help" '  fault add  .*let requests fail:'
refused 2 "^kmsd: control: no command; see 'kmsd control --help'$" "$KMSD" control
refused 2 "^kmsd: control: unknown command 'x'; see" "$KMSD" control x
refused 2 "^kmsd: control: clock: unknown command 'x'; see" "$KMSD" control clock x
refused 2 "^kmsd: control: clock set: its argument TIME is missing; see" "$KMSD" control clock set
refused 2 "^kmsd: control: one argument too many: '2'; see" "$KMSD" control clock speed 1 2
refused 2 "^kmsd: control: clock: 'soon' is neither a time such as .* nor a move such as [+]7d$" "$KMSD" control clock set soon
refused 2 "^kmsd: control: clock: the clock goes from 2000-01-01 to 9999-12-31$" "$KMSD" control clock set 1999-12-31
refused 2 "^kmsd: control: propagation: '5' is no duration such as" "$KMSD" control propagation 5
refused 2 "^kmsd: control: throttle: 'on' is neither quotas nor off$" "$KMSD" control throttle on
refused 2 "^kmsd: control: fault: its kind is missing$" "$KMSD" control fault add
refused 2 "^kmsd: control: unknown option '--kinds'; see" "$KMSD" control fault add --kinds drop
refused 2 "^kmsd: control: fault: operation: AWS has no 'Decrypts' here$" "$KMSD" control fault add --kind drop --operation Decrypts
refused 1 "^kmsd: control: fault: there is no fault 7$" "$KMSD" control fault clear 7
refused 1 "^kmsd: control: no kmsd that listens to control runs on data directory '/nowhere'$" "$KMSD" control status --data-dir /nowhere
KMSD_DATA_DIR='' refused 2 '^kmsd: control: which server\? Name its data directory' "$KMSD" control status
# Each option of the manual page is one of the program, and the other way round.
manual() { # FROM TO: the options in these sections; --ca-bundle and --profile are aws's
	sed -n "/^\.SH $1/,/^\.SH $2/p" "$CASE_ROOT/docs/kmsd.1" | sed 's/\\f[A-Z]//g' | grep -o '\\-\\-[a-z\\-]*' |
		tr -d '\\' | grep -vxE -- '--ca-bundle|--profile' | sort -u
}
program=$(for command in '' control explain; do
	# shellcheck disable=SC2086
	"$KMSD" $command --help | sed -En 's/^ +(--[a-z-]+).*/\1/p'
done | sort -u)
is 'the manual page has the options of the program' "$(manual NAME FILES)" "$program"
is 'each of the server has its entry' "$(comm -13 <(manual OPTIONS CONTROL) <("$KMSD" --help | sed -En 's/^ +(--[a-z-]+).*/\1/p' | sort))" ''

# --- the clock

post EnableKeyRotation '{"KeyId":"'"$ID"'","RotationPeriodInDays":90}'
read -r key secret token < <(aws sts get-session-token --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text)
like 'clock set +90d' "$(control clock set +90d)" '^clock        20[0-9-]*T[0-9:]*Z, 90d ahead of real time, speed 1$'
record=$(event RotateKey)
is 'the key was rotated, and CloudTrail tells' "$(jq -r '[.eventType, .userIdentity.invokedBy, .serviceEventDetails.rotationType, .resources[0].ARN] | join(" ")' <<<"$record")" \
	"AwsServiceEvent AWS Internal AUTOMATIC $KEY_ARN"
is 'at the time of this clock' "$(jq -r '.eventTime[:10]' <<<"$record")" "$(date -u -d '+90 days' +%F)"
like 'temporary credentials have expired' "$(AWS_ACCESS_KEY_ID=$key AWS_SECRET_ACCESS_KEY=$secret AWS_SESSION_TOKEN=$token aws kms list-keys 2>&1)" \
	'\(ExpiredTokenException\)'
control clock set reset >/dev/null
ok 'and set back they live' env AWS_ACCESS_KEY_ID="$key" AWS_SECRET_ACCESS_KEY="$secret" AWS_SESSION_TOKEN="$token" \
	aws --endpoint-url "$AWS_ENDPOINT_URL" kms list-keys

doomed=$(text create-key --query KeyMetadata.Arn)
text schedule-key-deletion --key-id "$doomed" --pending-window-in-days 7 >/dev/null
control clock set +6d >/dev/null
is 'after 6 days the key is pending deletion' "$(type Encrypt '{"KeyId":"'"$doomed"'","Plaintext":"AA=="}')" KMSInvalidStateException
control clock set +1d >/dev/null
like 'after 7 it is gone' "$(text describe-key --key-id "$doomed" 2>&1)" "\(NotFoundException\).*Key '$doomed' does not exist"
is 'CloudTrail has DeleteKey' "$(event DeleteKey | jq -r '[.eventType, .userIdentity.invokedBy, .responseElements.keyId] | join(" ")')" \
	"AwsServiceEvent AWS Internal $doomed"
control clock set -30d >/dev/null
is 'set back, it stays gone' "$(type DescribeKey '{"KeyId":"'"$doomed"'"}')" NotFoundException
control clock set reset >/dev/null
control clock set +3h >/dev/null
kill -KILL "$KMSD_PID"
wait "$KMSD_PID" 2>/dev/null
start_kmsd
like 'the clock outlives kill -9' "$(control status)" ', 3h ahead of real time, speed 1$'
control clock speed 100000 >/dev/null
ahead() {
	[ "$(control status --json | jq .clock.offset_ms)" -gt 20000000 ]
}
ok 'it can go faster' wait_for 10 ahead
like 'and be real time again' "$(control clock set reset)" ', real time$'

# --- propagation

post EnableKey '{"KeyId":"'"$ID"'"}'
encrypt='{"KeyId":"'"$ID"'","Plaintext":"AA=="}'
is 'propagation 1h' "$(control propagation 1h)" 'propagation  1h, 0 changes under way'
text disable-key --key-id "$ID"
is 'describe-key shows the new state' "$(text describe-key --key-id "$ID" --query KeyMetadata.KeyState)" Disabled
is 'the old one counts' "$(type Encrypt "$encrypt")" ''
is 'propagation 0' "$(control propagation 0)" 'propagation  at once'
is 'the new one counts' "$(type Encrypt "$encrypt")" DisabledException
text enable-key --key-id "$ID"
is 'at once' "$(type Encrypt "$encrypt")" ''
control propagation 500ms >/dev/null
text disable-key --key-id "$ID"
disabled() {
	[ "$(type Encrypt "$encrypt")" = DisabledException ]
}
ok 'a change comes about by itself' wait_for 10 disabled
control propagation 0 >/dev/null
text enable-key --key-id "$ID"

# --- throttling

control throttle quotas --factor 0.1 >/dev/null
post CreateKey '{}' >/dev/null
is 'above the quota: AWS words' "$(post CreateKey '{}' | jq -r '.__type + ": " + .message')" \
	'ThrottlingException: You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.'
is 'another operation has a quota of its own' "$(type DescribeKey '{"KeyId":"'"$ID"'"}')" ''
ok 'the aws command backs off and succeeds' env AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=10 \
	aws --endpoint-url "$AWS_ENDPOINT_URL" kms create-key
like 'status counts what was refused' "$(control status)" "^throttle     AWS's quotas times 0.1, [1-9][0-9]* requests refused so far$"
control throttle off >/dev/null

# --- faults

describe='{"KeyId":"'"$ID"'"}'
for exception in KMSInternalException DependencyTimeoutException KeyUnavailableException ServiceUnavailable InternalFailure; do
	control fault add --operation DescribeKey --kind error --exception "$exception" --count 1 >/dev/null
	is "fault: $exception" "$(type DescribeKey "$describe")" "$exception"
done
is 'fault: ends after its count' "$(type DescribeKey "$describe")" ''
for kind in throttle error drop truncate; do
	control fault add --operation DescribeKey --kind "$kind" --count 1 >/dev/null
	ok "fault: the aws command gets over $kind" env AWS_RETRY_MODE=standard \
		aws --endpoint-url "$AWS_ENDPOINT_URL" kms describe-key --key-id "$ID"
	is "fault: $kind was met" "$(control fault list)" 'fault        none'
done
control fault add --operation ListKeys --kind drop --count 1 >/dev/null
curl_code() {
	post ListKeys '{}' >out 2>&1
	echo $?
}
is 'fault: drop closes the connection without a byte' "$(curl_code)" 52
control fault add --operation ListKeys --kind truncate --count 1 >/dev/null
is 'fault: truncate closes it inside the body' "$(curl_code)" 18
control fault add --operation ListKeys --kind latency --delay 700ms --count 1 >/dev/null
begun=${EPOCHREALTIME/./}
is 'fault: latency answers' "$(type ListKeys '{}')" ''
ok 'fault: later' test $((${EPOCHREALTIME/./} - begun)) -ge 700000
control fault add --kind latency --delay 20s --operation ListKeys >/dev/null
slow=()
for n in 1 2 3 4 5 6 7 8; do
	post ListKeys '{}' >/dev/null 2>&1 &
	slow+=($!)
	later end_process "$!"
done
met() {
	[ "$(control status --json | jq '.fault[0].hits')" = 8 ]
}
ok 'fault: eight requests wait' wait_for 10 met
is 'fault: and hold up no other' "$(type DescribeKey "$describe")" ''
kill "${slow[@]}"
control fault clear >/dev/null
other=$(text create-key --query KeyMetadata.KeyId)
control fault add --kind error --key alias/demo >/dev/null
is 'fault: of one key' "$(type DescribeKey "$describe")" KMSInternalException
is 'fault: not of another' "$(type DescribeKey '{"KeyId":"'"$other"'"}')" ''
control fault clear >/dev/null
control fault add --kind error --for 300ms >/dev/null
gone_by_time() {
	[ "$(control fault list)" = 'fault        none' ]
}
ok 'fault: ends after its time' wait_for 10 gone_by_time
is 'the audit trail has refusals by faults' "$(jq -r 'select(.errorCode == "DependencyTimeoutException").eventName' "$KMSD_DIR/audit.jsonl")" DescribeKey

# --- options at the start

end_process "$KMSD_PID"
not_ok 'the file goes with the server' test -e "$KMSD_DIR/control"
refused 2 "^kmsd: --fault: fault: kind: 'x' is none of throttle, latency, error, drop, truncate$" "$KMSD" --data-dir "$KMSD_DIR" --fault kind=x
refused 2 "^kmsd: --clock-offset: clock: '7d' is neither a time" "$KMSD" --data-dir "$KMSD_DIR" --clock-offset 7d
start_kmsd --clock-offset +2d --propagation-delay 3s --throttle-factor 0.5 --fault kind=error,operation=Encrypt,count=3
is 'options are requests of control' "$(control status | sed 's/[0-9].*Z,/NOW,/')" "clock        NOW, 2d ahead of real time, speed 1
propagation  3s, 0 changes under way
throttle     AWS's quotas times 0.5, 0 requests refused so far
fault 1      error KMSInternalException, Encrypt, 3 more; met 0"
end_process "$KMSD_PID"
start_kmsd --no-control --clock-offset 0
refused 1 'no kmsd that listens to control runs' "$KMSD" control status
done_testing
