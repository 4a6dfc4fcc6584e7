#!/bin/bash
# tests/run itself: what counts as passed, failed and skipped.
. "$(dirname "$0")/../lib/case.sh"

# fake NAME LINE...: a test that is a script of these lines.
fake() {
	mkdir -p cases
	printf '%s\n' '#!/bin/bash' "${@:2}" >"cases/$1.sh"
	chmod +x "cases/$1.sh"
}

# verdict WANTED_CODE WANTED_LAST_LINE: run the fakes, then forget them.
verdict() {
	local out code
	out=$(BUILD=$DIR/none CASES=$DIR/cases SAN=${WITH-} T=${WORD-} JOBS=${LANES-2} TEST_TIMEOUT=2 "$CASE_ROOT/tests/run" 2>&1)
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

# --- several at a time
# Each waits for the other to have begun.
meet() {
	fake "$1" "touch $DIR/$1.here" "for i in {1..100}; do [ -e $DIR/$2.here ] && break; sleep 0.01; done" \
		"[ -e $DIR/$2.here ] && echo ok 1 - a || echo not ok 1 - alone" 'echo 1..1'
}
meet left right
meet right left
verdict 0 '2 passed, 0 failed' 'two at a time'
rm ./*.here
meet left right
meet right left
LANES=1 verdict 1 '1 passed, 1 failed' 'one at a time: the first meets nobody'
rm ./*.here

# What is marked runs when nothing else does: each of these fails when another one is there.
single() {
	fake "$1" "${2-}" "mkdir $DIR/busy 2>/dev/null || { echo not ok 1 - not alone; echo 1..1; exit; }" \
		'sleep 0.5' "rmdir $DIR/busy" 'echo ok 1 - a' 'echo 1..1'
}
for n in 1 2 3 4; do
	single "a$n" '# alone, for a reason'
done
fake plain 'sleep 0.3' "[ ! -e $DIR/busy ] && echo ok 1 - a || echo not ok 1 - beside" 'echo 1..1'
LANES=3 verdict 0 '5 passed, 0 failed' 'alone'
like 'they come last' "$(head -n 1 <<<"$last_output")" '^\[1/5\] plain +ok'
for n in 1 2 3; do
	single "a$n" '# lonely'
done
LANES=3 verdict 1 '1 passed, 2 failed' 'not marked: at once'

for n in {1..9}; do
	fake "t$n" "echo 'what t$n says'" "sleep 0.0$n" "[ $n != 5 ] && echo ok 1 - a || echo not ok 1 - a" 'echo 1..1'
done
LANES=4 verdict 1 '8 passed, 1 failed' 'many'
is 'each has one line, numbered as they end' "$(grep -c '^\[' <<<"$last_output") $(sed -En 's/^\[(.*)\/9\] t[1-9] .*/\1/p' \
	<<<"$last_output" | tr '\n' ' ')" '9 1 2 3 4 5 6 7 8 9 '
is 'only what failed is quoted, below its line' "$(grep -A 1 FAILED <<<"$last_output" | grep -c "what t5 says") $(grep -c \
	'what t' <<<"$last_output")" '1 1'
fake good 'echo ok 1 - a' 'echo 1..1'
LANES=0 verdict 2 "tests/run: JOBS: '0' is no number from 1 to 99" 'no lane'

fake slow '# long' 'echo ok 1 - a' 'echo 1..1'
fake slowest '# long' '# alone' 'echo ok 1 - a' 'echo 1..1'
fake good '# alone' 'echo ok 1 - a' 'echo 1..1'
WITH=address verdict 0 '1 passed, 0 failed' 'long ones are left out under sanitizers'

fake leaves "sleep 300 & echo \$! >$DIR/left" 'echo ok 1 - a' 'echo 1..1'
verdict 0 '1 passed, 0 failed' 'one that leaves a process'
ok 'which does not stay' wait_for 10 gone "$(cat left)"

# Killing the runner ends the tests that run, and their own clean-up is done.
# lasting NAME
lasting() {
	fake "$1" "trap 'echo cleaned >$DIR/$1.cleaned; exit 1' TERM" "echo \$\$ >$DIR/$1.pid" \
		'while :; do sleep 0.05; done'
}
# ended_by SIGNAL CODE
ended_by() {
	rm -f ./*.pid ./*.cleaned
	lasting one
	lasting two
	fake three "touch $DIR/three.pid" 'echo ok 1 - a' 'echo 1..1'
	BUILD=$DIR/none CASES=$DIR/cases T='' JOBS=2 TMPDIR=$DIR/scratch env --default-signal=INT "$CASE_ROOT/tests/run" >/dev/null 2>&1 &
	runner=$!
	later end_process "$runner"
	ok "$1: the tests run" wait_for 10 test -s one.pid -a -s two.pid
	kill "-$1" "$runner"
	wait "$runner" 2>/dev/null
	is "$1: exit code" $? "$2"
	is "$1: all clean up" "$(cat one.cleaned two.cleaned)" $'cleaned\ncleaned'
	not_ok "$1: the first is gone" kill -0 "$(cat one.pid)"
	not_ok "$1: and the second" kill -0 "$(cat two.pid)"
	is "$1: no scratch directory" "$(ls scratch)" ''
	ok "$1: none began behind them" test ! -e three.pid
	rm -rf cases
}
mkdir scratch
ended_by TERM 143
ended_by INT 130
ended_by HUP 143

done_testing
