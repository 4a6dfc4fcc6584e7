# What cases share that drive kmsd through the aws command. Sourced behind case.sh, by $CASE_ROOT/tests/lib/aws.sh; wants aws.
# shellcheck shell=bash

text() { aws --output text "$@"; }

# as NAME COMMAND...: with the credentials in $DIR/NAME (id, secret, a session's token).
as() {
	local id secret token
	read -r id secret token <"$DIR/$1"
	(
		export AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret
		unset AWS_SESSION_TOKEN
		[ -z "$token" ] || export AWS_SESSION_TOKEN=$token
		"${@:2}"
	)
}

# denied CLAIM CODE SENTENCE COMMAND...: the aws command fails with both.
denied() {
	local out
	if out=$("${@:4}" 2>&1); then
		fail "$1" "it succeeded: $out"
	elif [[ $out == *"($2)"* && $out == *"$3"* ]]; then
		pass "$1"
	else
		fail "$1" "$out"
	fi
}
