#!/bin/bash
# long
# alone: it looks at all loop devices, and times the demo
# The demo leaves nothing behind: not when it runs to its end, and not when it is interrupted, in whatever
# step. SEED=N repeats the moments.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/left.sh"
need aws jq psql runuser setsid
need_root
need_fuse
id postgres >/dev/null 2>&1 || skip_all 'needs PostgreSQL'

SEED=${SEED:-$(date +%s)}
RANDOM=$SEED
note "SEED=$SEED"

# Starts the demo in a process group and a scratch directory of its own: $DEMO, $PLACE.
start_demo() {
	watch_left kmsvol-demo
	# Not "&" alone: what a shell starts in the background ignores SIGINT.
	TMPDIR=$DIR/scratch BUILD=$BUILD setsid env --default-signal=INT "$CASE_ROOT/tests/demo" >demo.out 2>&1 &
	DEMO=$!
	later end_process "$DEMO"
}

said() {
	grep -q -- "$1" demo.out
}

said_or_ended() {
	said "$1" || ! kill -0 "$DEMO" 2>/dev/null
}

# interrupt STEP MS: that long after STEP was announced.
interrupt() {
	local code begun
	start_demo
	wait_for 100 said_or_ended "=== $1"
	sleep "$(printf '0.%03d' "$2")"
	begun=$SECONDS
	kill -INT -- "-$DEMO"
	wait "$DEMO"
	code=$?
	is "interrupted $2 ms into step $1: exit code" "$code" 130
	ok 'within 40 s' test $((SECONDS - begun)) -le 40
	nothing_left "interrupted $2 ms into step $1"
	[ "$case_failed" -eq 0 ] || note "$(cat demo.out)"
}

interrupt "$((1 + RANDOM % 3))" $((RANDOM % 1000))
interrupt "$((4 + RANDOM % 2))" $((RANDOM % 1000))
interrupt 6 $((900 + RANDOM % 100)) # the volume is about to be unreachable, or is
start_demo
wait_for 100 said_or_ended 'SELECT \* FROM users" &'
kill -INT -- "-$DEMO"
wait "$DEMO"
is 'interrupted while the SELECT waits for the key: exit code' "$?" 130
nothing_left 'interrupted while the SELECT waits'

begun=$SECONDS
start_demo
wait "$DEMO"
is 'the whole demo: exit code' "$?" 0
ok 'within 120 s' test $((SECONDS - begun)) -le 120
ok 'it said so' said '^done in'
nothing_left 'the whole demo'
[ "$case_failed" -eq 0 ] || note "$(cat demo.out)"
done_testing
