#!/bin/bash
# tests/run itself: what counts as passed, failed and skipped.
. "$(dirname "$0")/../lib/case.sh"

# test NAME LINE...: a test that is a script of these lines.
fake() {
	mkdir -p cases
	printf '%s\n' '#!/bin/bash' "${@:2}" >"cases/$1.sh"
	chmod +x "cases/$1.sh"
}

# verdict WANTED_CODE WANTED_LAST_LINE: run the fakes, then forget them.
verdict() {
	local out code
	out=$(BUILD=$DIR/none CASES=$DIR/cases SAN='' T=${WORD-} TEST_TIMEOUT=2 "$CASE_ROOT/tests/run" 2>&1)
	code=$?
	last_output=$out
	is "$3: last line" "$(tail -n 1 <<<"$out")" "$2"
	is "$3: exit code" "$code" "$1"
	rm -rf cases
}

fake good 'echo ok 1 - a' 'echo 1..1'
verdict 0 '1 passed, 0 failed' 'a good test'

fake good 'echo 1..1' 'echo ok 1 - a'
fake bad 'echo not ok 1 - the claim' 'echo "# the reason"' 'echo 1..1'
verdict 1 '1 passed, 1 failed' 'one that fails'
like 'its output is shown' "$last_output" '# the reason'
like 'it is named at the end' "$last_output" '^FAILED bad: 1 of 1 not ok'

fake code 'echo ok 1 - a' 'echo 1..1' 'exit 3'
verdict 1 '0 passed, 1 failed' 'one that ends with an error'

fake crash 'echo 1..1' 'echo ok 1 - a' 'kill -SEGV $$'
verdict 1 '0 passed, 1 failed' 'one that crashes'

fake short 'echo 1..2' 'echo ok 1 - a'
verdict 1 '0 passed, 1 failed' 'one that ran less than it planned'

fake planless 'echo ok 1 - a'
verdict 1 '0 passed, 1 failed' 'one without a plan'

fake silent 'exit 0'
verdict 1 '0 passed, 1 failed' 'one that says nothing'

fake slow 'echo 1..1' 'exec sleep 30'
verdict 1 '0 passed, 1 failed' 'one that takes too long'

fake good 'echo ok 1 - a' 'echo 1..1'
fake skips 'echo "1..0 # SKIP no such thing here"' 'exit 77'
verdict 0 '1 passed, 0 failed, 1 skipped' 'a skipped one'
like 'its reason is shown' "$last_output" 'no such thing here'

fake skips 'echo "1..0 # SKIP no such thing here"' 'exit 77'
verdict 1 '0 passed, 0 failed, 1 skipped' 'nothing but skipped ones'

mkdir cases
verdict 1 '0 passed, 0 failed' 'no test at all'

fake good 'echo ok 1 - a' 'echo 1..1'
fake other 'echo not ok 1 - a' 'echo 1..1'
WORD=goo verdict 0 '1 passed, 0 failed' 'a filter'

# Killing the runner ends the test that runs, and its own clean-up is done.
fake lasting "trap 'echo cleaned >$DIR/cleaned; exit 1' TERM" "echo \$\$ >$DIR/pid" \
	'while :; do sleep 0.05; done'
BUILD=$DIR/none CASES=$DIR/cases T='' "$CASE_ROOT/tests/run" >/dev/null 2>&1 &
runner=$!
later end_process "$runner"
ok 'the test runs' wait_for 10 test -s pid
kill -TERM "$runner"
ok 'a test under way cleans up when the runner is ended' wait_for 10 test -s cleaned
wait "$runner" 2>/dev/null
not_ok 'and is gone' kill -0 "$(cat pid)"

done_testing
