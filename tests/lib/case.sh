# Helpers for the cases in tests/cases: TAP, a private directory, clean-up, servers, volumes. To be sourced:
#
#   . "$(dirname "$0")/../lib/case.sh"
#   ok 'a claim' test -d .
#   done_testing
#
# The case runs in its private directory $DIR. What it makes it registers with `later` right away; all of that
# is undone in reverse order when it ends, however it ends. A case that ends without done_testing fails, and
# so does one whose daemons said something on stderr that was not announced by `expect_stderr`.
# shellcheck shell=bash

set -u
CASE_NAME=$(basename "$0" .sh)
CASE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$CASE_ROOT/build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
KMSVOL=$BUILD/kmsvol
KMSD=$BUILD/kmsd
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8
# Nothing of the user's own AWS settings may leak in, and nothing may go to AWS.
for v in $(compgen -e | grep '^AWS_'); do unset "$v"; done
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
export AWS_PAGER='' AWS_MAX_ATTEMPTS=3

case_count=0 case_failed=0 case_ended= case_stderr=() case_expected=() case_later=()

# --- clean-up

# later CMD...: run this when the case ends; the last registered runs first. It may fail.
later() {
	case_later+=("$(printf '%q ' "$@")")
}

# end_process PID: TERM, and KILL when that does not help within 10 s.
end_process() {
	kill -TERM "$1" 2>/dev/null || return 0
	for _ in $(seq 200); do
		kill -0 "$1" 2>/dev/null || { wait "$1" 2>/dev/null; return 0; }
		sleep 0.05
	done
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

# release DIR: whatever volume is mounted at or shown in DIR goes, by force where needed.
release() {
	timeout 30 "$KMSVOL" unmount --force "$1" >/dev/null 2>&1 && return
	umount -l "$1" 2>/dev/null || fusermount3 -uz "$1" 2>/dev/null
}

# Take away by force what `release` could not: mounts of volumes in $DIR, their daemons, mounts below $DIR.
sweep() {
	local at lock
	for lock in "$DIR"/*/lock; do
		[ -f "$lock" ] && ! flock -n "$lock" true && kill -KILL "$(head -n 1 "$lock")"
	done
	awk -v dir="$DIR/" 'index($5, dir) == 1 || index($0, " fuse.kmsvol " dir) { print $5 }' \
		/proc/self/mountinfo | tac | while read -r at; do
		umount -l "$at" || fusermount3 -uz "$at"
		case $at in /run/kmsvol/?*) rmdir "$at"; rm -f "$at.json" ;; esac
	done
}

case_end() {
	local code=$? i f
	trap - EXIT
	trap '' INT TERM HUP
	for ((i = ${#case_later[@]} - 1; i >= 0; i--)); do
		eval "${case_later[i]}" >/dev/null 2>&1
	done
	sweep >/dev/null 2>&1
	if [ "$code" -eq 0 ] && [ -z "$case_ended" ]; then
		echo "# the case ended before done_testing"
		code=1
	fi
	[ "$case_failed" -eq 0 ] || [ "$code" -ne 0 ] || code=1
	if [ "$code" -ne 0 ] && [ "$code" -ne 77 ]; then
		for f in "$DIR"/*.stderr; do
			[ -s "$f" ] && sed "s|^|# $(basename "$f"): |" "$f"
		done
	fi
	cd /
	rm -rf --one-file-system "$DIR"
	exit "$code"
}

DIR=$(mktemp -d "${TMPDIR:-/tmp}/kmsvol-$CASE_NAME.XXXXXX") || exit 1
trap case_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$DIR" || exit 1

# --- TAP

note() {
	printf '%s\n' "$@" | sed 's/^/# /'
}

# skip_all REASON: this machine cannot run the case.
skip_all() {
	echo "1..0 # SKIP $*"
	exit 77
}

# need PROGRAM...: skip when one is missing.
need() {
	local p
	for p in "$@"; do
		command -v "$p" >/dev/null || skip_all "no '$p' here; see make setup"
	done
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip_all 'needs root'
}

need_fuse() {
	[ -c /dev/fuse ] && [ -r /dev/fuse ] || skip_all 'needs /dev/fuse'
}

pass() {
	case_count=$((case_count + 1))
	echo "ok $case_count - ${1//#/}"
}

fail() {
	case_count=$((case_count + 1)) case_failed=$((case_failed + 1))
	echo "not ok $case_count - ${1//#/}"
	[ $# -lt 2 ] || note "${@:2}"
}

# ok CLAIM CMD...: CMD ends with 0. What it prints is shown when not.
ok() {
	local out code
	out=$("${@:2}" 2>&1)
	code=$?
	if [ "$code" -eq 0 ]; then
		pass "$1"
	else
		fail "$1" "exit code $code of: ${*:2}" "$out"
	fi
	return "$code"
}

# not_ok CLAIM CMD...: CMD fails (and is there: not exit code 127).
not_ok() {
	local out code
	out=$("${@:2}" 2>&1)
	code=$?
	if [ "$code" -ne 0 ] && [ "$code" -lt 126 ]; then
		pass "$1"
	else
		fail "$1" "exit code $code of: ${*:2}" "$out"
	fi
}

# is CLAIM GOT WANTED
is() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "got:    '$2'" "wanted: '$3'"
	fi
}

# like CLAIM GOT REGEX (extended)
like() {
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then
		pass "$1"
	else
		fail "$1" "got: '$2'" "which does not match: $3"
	fi
}

# refused EXIT_CODE REGEX CMD...: CMD ends with this code, prints nothing on stdout, and one line on stderr,
# which matches. The claim is the command and its code.
refused() {
	local want=$1 regex=$2 code lines claim
	shift 2
	"$@" >"$DIR/.out" 2>"$DIR/.err"
	code=$?
	lines=$(wc -l <"$DIR/.err")
	claim="refused with $want: $(basename "$1") ${*:2}"
	if [ "$code" -eq "$want" ] && [ "$lines" -eq 1 ] && [ ! -s "$DIR/.out" ] &&
		grep -Eq -- "$regex" "$DIR/.err"; then
		pass "$claim"
	else
		fail "$claim" "exit code $code" "stdout: $(cat "$DIR/.out")" "stderr: $(cat "$DIR/.err")" \
			"wanted: one line on stderr that matches: $regex"
	fi
}

# need_ok CLAIM CMD...: as ok, but there is no point in going on when it fails.
need_ok() {
	ok "$@" && return
	echo "Bail out! $1"
	exit 1
}

# expect_stderr REGEX: lines on a daemon's stderr that match are expected.
expect_stderr() {
	case_expected+=("$1")
}

done_testing() {
	local f unexpected pattern
	for f in "${case_stderr[@]+"${case_stderr[@]}"}"; do
		pattern='^$'
		for unexpected in "${case_expected[@]+"${case_expected[@]}"}"; do
			pattern+="|$unexpected"
		done
		unexpected=$(grep -Ev -- "$pattern" "$f")
		[ -z "$unexpected" ] || fail "no unexpected words on $(basename "$f")" "$unexpected"
	done
	echo "1..$case_count"
	case_ended=yes
	exit $((case_failed > 0))
}

# --- FUSE over io_uring

# A case with TRANSPORT=io-uring has all its mounts over it, and is skipped where that cannot be. The switch
# is on only while a mount looks at it, and whoever changes it holds the lock. URING_ON: the caller did so.
URING_SWITCH=/sys/module/fuse/parameters/enable_uring
URING_LOCK=/run/lock/kmsvol-enable-uring

# with_uring CMD...: with the switch on while CMD runs.
with_uring() {
	local before code lock
	exec {lock}>"$URING_LOCK" && flock "$lock" || return
	before=$(cat "$URING_SWITCH")
	echo Y >"$URING_SWITCH"
	"$@" {lock}>&-
	code=$?
	echo "$before" >"$URING_SWITCH"
	exec {lock}>&-
	return "$code"
}

use_uring() {
	# Signals that end the case come only once the switch is as it was.
	mkdir "$DIR/.bin"
	{
		echo '#!/bin/bash'
		printf 'KMSVOL=%q URING_SWITCH=%q URING_LOCK=%q\n' "$KMSVOL" "$URING_SWITCH" "$URING_LOCK"
		declare -f with_uring
		echo '[[ ${1:-} == mount && " $* " != *" --foreground "* ]] || exec "$KMSVOL" "$@"'
		echo 'trap "" INT TERM HUP'
		echo "${URING_ON:-with_uring}" '"$KMSVOL" "$@" --transport io-uring'
	} >"$DIR/.bin/kmsvol"
	chmod 755 "$DIR/.bin/kmsvol"
	KMSVOL=$DIR/.bin/kmsvol
}

if [ "${TRANSPORT:-}" = io-uring ]; then
	[ -e "$URING_SWITCH" ] || skip_all 'the kernel has no FUSE over io_uring'
	[ -n "${URING_ON:-}" ] || [ -w "$URING_SWITCH" ] || skip_all 'switching FUSE over io_uring on needs root'
	note 'transport: io_uring'
	use_uring
fi

# --- waiting for events

# wait_for SECONDS CMD...: until CMD ends with 0; fails after the time.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# state_is VOL STATE
state_is() {
	[ "$("$KMSVOL" status "$1" --json | jq -r .state)" = "$2" ]
}

# --- servers and volumes

# start NAME CMD...: in the background, its output in $DIR/NAME.stdout and .stderr; ended with the case.
# The process id is in $STARTED.
start() {
	local name=$1
	shift
	: >"$DIR/$name.stdout" # here, not by the child: what one before it said must be gone at once
	"$@" >"$DIR/$name.stdout" 2>"$DIR/$name.stderr" </dev/null &
	STARTED=$!
	case_stderr+=("$DIR/$name.stderr")
	later end_process "$STARTED"
}

# start_kmsd [OPTION]...: a KMS on a free port, and the environment of a client that may use it.
# Sets KMSD_PID, KMSD_DIR, KMSD_PORT.
start_kmsd() {
	local n
	KMSD_DIR=${KMSD_DIR:-$DIR/kmsd}
	for n in 1 2 3 4 5; do
		KMSD_PORT=$((20000 + RANDOM % 12000))
		start kmsd "$KMSD" --data-dir "$KMSD_DIR" --listen "127.0.0.1:$KMSD_PORT" "$@"
		KMSD_PID=$STARTED
		if wait_for 20 kmsd_said_or_ended && grep -q AWS_SECRET_ACCESS_KEY "$DIR/kmsd.stdout"; then
			eval "$(grep -Eo 'AWS_[A-Z_]+=[^ ]+' "$DIR/kmsd.stdout" | sed 's/^/export /')"
			return 0
		fi
		grep -qi 'in use' "$DIR/kmsd.stderr" || break
		unset 'case_stderr[-1]'
	done
	echo "Bail out! kmsd does not start: $(cat "$DIR/kmsd.stderr")"
	exit 1
}

kmsd_said_or_ended() {
	grep -q AWS_SECRET_ACCESS_KEY "$DIR/kmsd.stdout" || ! kill -0 "$KMSD_PID"
}

# The aws command of Debian 12 does not know AWS_ENDPOINT_URL yet, and would go to AWS itself.
aws() {
	command aws --endpoint-url "${AWS_ENDPOINT_URL:?start_kmsd comes first}" "$@"
}

# post OPERATION JSON: the reply's body, by curl; for what the aws command of Debian 12 does not know yet.
post() {
	curl -sS -m 20 --aws-sigv4 aws:amz:us-east-1:kms --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \
		-H "X-Amz-Target: TrentService.$1" -H 'Content-Type: application/x-amz-json-1.1' -d "$2" \
		"$AWS_ENDPOINT_URL/"
}

# make_key [ALIAS]: a new key by the aws command, with that alias; its ARN is in $KEY_ARN.
make_key() {
	KEY_ARN=$(aws kms create-key --query KeyMetadata.Arn --output text) || {
		echo 'Bail out! aws kms create-key failed'
		exit 1
	}
	[ $# -eq 0 ] || aws kms create-alias --alias-name "$1" --target-key-id "$KEY_ARN"
}

# make_volume VOL [OPTION]...: of 64 MiB under $KEY_ARN unless the options say otherwise (the last counts).
make_volume() {
	"$KMSVOL" create "$1" --size 64M --key-id "$KEY_ARN" "${@:2}" >"$DIR/.create" 2>&1 && return
	echo "Bail out! kmsvol create failed: $(cat "$DIR/.create")"
	exit 1
}

# mount_volume VOL MOUNTPOINT [OPTION]...: the mountpoint is made.
mount_volume() {
	mkdir -p "$2"
	later release "$2"
	"$KMSVOL" mount "$@" >"$DIR/.mount" 2>&1 && return
	echo "Bail out! kmsvol mount failed: $(cat "$DIR/.mount")"
	exit 1
}

# tree_hash DIR: one hash over all names and contents below it, but for a volume's lock and its diary.
tree_hash() {
	(cd "$1" && find . -type f -not -name lock -not -name events.jsonl -print0 | sort -z | xargs -0 sha256sum | sha256sum)
}

# gone PID: no such process, or one that has ended and that nobody has waited for yet.
gone() {
	local state
	state=$(ps -o stat= -p "$1")
	[[ -z $state || $state == Z* ]]
}
