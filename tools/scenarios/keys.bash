# Helpers of scenarios: where KMS is, keys, users, kmsd's clock and faults. Sourced by engine.bash.
# shellcheck shell=bash

ACCOUNT=111122223333
KMSD_PID=
declare -A key=() # the ARN of each key by its name in the scenario: ${key[a]}
declare -A key_was_disabled=()

# aws ARGUMENT...: the aws command, at the KMS of this run. Old ones do not know AWS_ENDPOINT_URL.
aws() {
	command aws ${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"
}

# Where KMS is: a kmsd in the private directory, or whatever the environment names.
start_kms() {
	local v
	export AWS_PAGER=''
	later restore_keys
	[ "$AGAINST" != real-aws ] || return 0
	for v in $(compgen -e | grep '^AWS_'); do unset "$v"; done
	export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
	export AWS_PAGER='' AWS_MAX_ATTEMPTS=2
	# In a session of its own: an interrupt from the terminal must not end it before the volumes are down.
	(umask 077 && : >"$D/kmsd.out") # it tells a secret
	setsid "$KMSD" --data-dir "$D/kms" --listen 127.0.0.1:0 --account-id "$ACCOUNT" --rotation-delay 1 \
		>"$D/kmsd.out" 2>"$D/kmsd.err" </dev/null &
	KMSD_PID=$!
	later end_process "$KMSD_PID"
	wait_for 20 grep -q ready "$D/kmsd.out" || die "kmsd does not start: $(cat "$D/kmsd.err")"
	eval "$(grep -Eo 'AWS_[A-Z_]+=[^ ]+' "$D/kmsd.out" | sed 's/^/export /')"
	export KMSD_DATA_DIR=$D/kms
	wait_for 5 test -e "$D/kms/audit.jsonl" || aws sts get-caller-identity >/dev/null
	setsid "$KMSVOL" scenario calls "$D/kms/audit.jsonl" "$D/record/data/calls.jsonl" \
		>"$D/calls.out" 2>&1 </dev/null &
	later end_process $!
}

# key_state NAME STATE: what the timeline shows for the key from now on.
key_state() {
	record key name "$1" arn "${key[$1]}" state "$2"
}

# make_key NAME: a new KMS key, or with real AWS the one that the user named: the first, then the second.
make_key() {
	local named=$KMSVOL_SCENARIO_KEY_A state
	if [ "$AGAINST" = real-aws ]; then
		[ "${#key[@]}" -eq 0 ] || named=$KMSVOL_SCENARIO_KEY_B
		key[$1]=$named
		OUT=$(aws kms describe-key --key-id "${key[$1]}" --query 'KeyMetadata.[Arn,KeyState]' --output text 2>&1) ||
			die "key '${key[$1]}': $OUT"
		read -r key[$1] state <<<"$OUT"
		[ "$state" = Enabled ] || die "key '${key[$1]}' is $state: it would not be left as it was found"
	else
		run aws kms create-key --query KeyMetadata.Arn --output text || die "no key: $OUT"
		key[$1]=$OUT
	fi
	key_state "$1" Enabled
}

# change_key WORDS OPERATION CMD...: CMD, by which KMS is asked for OPERATION, as a mark on the timeline and what later times
# are measured from: the moment when kmsd noted the call, or with AWS the time that the command took.
change_key() {
	local from t
	from=$(now_ms)
	must "${@:3}"
	MARK_MS=$from MARK_DONE_MS=$(now_ms)
	if [ "$AGAINST" != real-aws ] && wait_for 2 call_noted "$2" "$from"; then
		t=$(call_ms "$2" "$from")
		MARK_MS=$t MARK_DONE_MS=$t
	fi
	RECORD_MS=$MARK_MS record mark text "$1"
}

# When kmsd noted the last call of that operation by a person since then.
call_ms() {
	jq -rn --arg op "$1" --argjson t "$2" 'last(inputs | select(.op == $op and .by == "user" and .t >= $t)) | .t - 30' \
		"$D/record/data/calls.jsonl"
}

call_noted() {
	[ -n "$(call_ms "$@" 2>/dev/null)" ]
}

# disable_key NAME, enable_key NAME: by the aws command.
disable_key() {
	key_was_disabled[$1]=yes
	change_key "key $1 disabled" DisableKey aws kms disable-key --key-id "${key[$1]}"
	RECORD_MS=$MARK_MS key_state "$1" Disabled
}

enable_key() {
	change_key "key $1 enabled" EnableKey aws kms enable-key --key-id "${key[$1]}"
	unset "key_was_disabled[$1]"
	RECORD_MS=$MARK_MS key_state "$1" Enabled
}

# A key that this run has disabled is not left so, whatever happened.
restore_keys() {
	local name
	for name in "${!key_was_disabled[@]}"; do
		aws kms enable-key --key-id "${key[$name]}" ||
			{ sleep 2 && aws kms enable-key --key-id "${key[$name]}"; } ||
			printf 'kmsvol: scenario %s: key %s could not be enabled again: do it by hand\n' "$NAME" "${key[$name]}" >&2
	done
}

# document STATEMENT: a policy of it.
document() {
	printf '{"Version":"2012-10-17","Statement":[%s]}' "$1"
}

# make_user NAME: an IAM user with an access key; `as NAME CMD...` is he.
make_user() {
	must aws iam create-user --user-name "$1" --query User.Arn --output text
	(umask 077 && : >"$D/user-$1") # a secret: before it is in there
	command aws --endpoint-url "$AWS_ENDPOINT_URL" iam create-access-key --user-name "$1" \
		--query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text >"$D/user-$1" || die "no access key for $1"
}

as() {
	local id secret
	read -r id secret <"$D/user-$1"
	AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret "${@:2}"
}

# control WORD...: kmsd's clock and faults.
control() {
	run "$KMSD" control "$@" || die "kmsd control $*: $OUT"
}

# calls_of OPERATION: how often KMS was called for it since the last mark, by volumes.
calls_of() {
	jq -rn --arg op "$1" --argjson t "$MARK_MS" '[inputs | select(.op == $op and .t >= $t and .by == "volume")] | length' \
		"$D/record/data/calls.jsonl"
}

# rotate_now NAME: new key material. Debian 12's aws command does not know the call yet, so curl makes it.
rotate_now() {
	local out
	[ "$AGAINST" != real-aws ] || die 'new key material on demand is for kmsd alone'
	# The secret is for no list of processes: curl reads it.
	out=$(printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" |
		curl -K - -sS -m 20 --aws-sigv4 "aws:amz:$AWS_REGION:kms" -A aws-cli/curl \
			-H 'X-Amz-Target: TrentService.RotateKeyOnDemand' -H 'Content-Type: application/x-amz-json-1.1' \
			-d "{\"KeyId\":\"${key[$1]}\"}" "$AWS_ENDPOINT_URL/")
	printf '%s\n' "$out"
	[[ $out != *__type* ]]
}
