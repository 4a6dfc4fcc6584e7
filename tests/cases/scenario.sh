#!/bin/bash
# long
# kmsvol scenario: a small one of its own is run, is as expected or is not, cannot go on, is interrupted; what its report
# says, what is refused, and that nothing stays behind. The shipped ones have cases of their own.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/left.sh"
need aws jq setsid losetup
need_fuse
watch_left kmsvol-scenario
export TMPDIR=$DIR/scratch

# scenario NAME LINE...: a file of these lines behind a head.
scenario() {
	printf '%s\n' '# Title: A volume loses its key' '# Words about it.' '# Profile: strict' '# Time-scale: 10' "${@:2}" >"$1.scenario"
}
run() { "$KMSVOL" scenario run "./$1.scenario" "${@:2}"; }
SETUP=("step 'A volume'" 'make_key a' 'make_volume v a' 'mount_volume v' 'start_probe v' 'expect_io v reader served')

# --- as expected
scenario good "${SETUP[@]}" "step 'Its key goes'" 'disable_key a' 'expect_lost v' 'expect_io_lost v reader' 'expect_io_lost v writer' \
	"step 'Its key comes'" 'enable_key a' 'expect_back v' 'expect_io v writer served' 'unmount_volume v' 'expect_io v reader gone'
run good --report R >out 2>err
is 'as expected: exit code' $? 0
is 'nothing on stderr' "$(cat err)" ''
like 'progress: a step' "$(cat out)" '^ +[0-9.]+ s  2\. Its key goes$'
like 'progress: a command' "$(cat out)" '\$ aws kms disable-key --key-id arn:aws:kms:'
like 'progress: a check' "$(cat out)" 'ok +volume v is inaccessible-encryption-credentials-recoverable: after [0-9.]+ s \([0-9.]+ min of AWS.s time\)$'
like 'the verdict' "$(tail -n 2 out)" "^good: as expected 8 checks"
is 'the report' "$(ls R)" "$(printf '%s\n' data report.html report.json timeline.svg)"
is 'its verdict' "$(jq -r .verdict R/report.json)" as-expected
is 'states of the key' "$(jq -r '[.keys[0].states[].state] | join(" ")' R/report.json)" 'Enabled Disabled Enabled'
is 'states of the volume' "$(jq -r '[.volumes[0].states[].state] | join(" ")' R/report.json)" \
	'unmounted available inaccessible-encryption-credentials-recoverable starting available unmounted'
is 'how its reader fared' "$(jq -r '[.volumes[0].reader[].io] | join(" ")' R/report.json)" 'served fails served gone'
ok 'ten samples a second' jq -e '.volumes[0] | .samples * 100 > .reader[-1].to_ms - .reader[0].from_ms - 2000' R/report.json
ok 'no error of the writer before the key went' jq -en --slurpfile r R/report.json '$r[0].volumes[0].writer[0] as $w |
	$r[0].keys[0].states[1].from_ms as $t | $w.io == "served" and $w.to_ms >= $t'
ok 'the refused calls of KMS' jq -e '[.kms_calls[] | select(.operation == "Decrypt" and .error == "DisabledException" and .by == "volume")] | length > 0' R/report.json
ok 'and who disabled it' jq -e '[.kms_calls[] | select(.operation == "DisableKey" and .by == "user")] | length == 1' R/report.json
cp R/report.json before.json
ok 'the report is made again from its records' "$KMSVOL" scenario report R
is 'and is the same' "$(cat R/report.json)" "$(cat before.json)"
nothing_left 'as expected'

# --- not as expected, and kept
scenario bad "${SETUP[@]}" 'disable_key a' 'expect_state v read-only 0 100' 'expect_io v reader waits 2'
run bad --report R --json --keep >out 2>err
is 'a wrong expectation: exit code' $? 1
is 'its report replaces the other' "$(jq -r '.scenario + " " + .verdict' R/report.json)" 'bad not-as-expected'
is 'and is printed, too' "$(cat out)" "$(cat R/report.json)"
is 'what failed' "$(jq -r '[.steps[].checks[] | select(.result == "fail") | .claim] | join("; ")' out)" \
	'volume v is read-only; the reader of volume v waits, without result or error'
like 'progress is on stderr then' "$(cat err)" 'NOT OK +volume v is read-only'
kept=$(sed -n 's/^kept: //p' err)
ok 'kept: the volume' "$KMSVOL" check "$kept/v" --no-key
rm -rf "$kept"
nothing_left 'not as expected'

# --- it cannot go on
scenario dies "${SETUP[@]:0:4}" 'must false'
run dies --report R >out 2>err
is 'what cannot go on: exit code' $? 1
like 'says why' "$(cat err)" '^kmsvol: scenario dies: false: $'
is 'verdict' "$(jq -r .verdict R/report.json)" failed
nothing_left 'it cannot go on'

# --- interrupted, while I/O waits for the key
scenario waits '' "${SETUP[@]}" 'disable_key a' 'expect_io v writer waits' 'pause 60000'
sed -i 's/strict/aurora/; s/: 10$/: 600/' waits.scenario
# Not "&" alone: what a shell starts in the background ignores SIGINT.
setsid env --default-signal=INT "$KMSVOL" scenario run ./waits.scenario --report NONE >out 2>err &
runner=$!
later end_process $runner
ok 'its writer waits' wait_for 60 grep -q 'ok .*the writer of volume v waits' out
kill -INT -- "-$runner"
wait "$runner"
is 'interrupted: exit code' $? 130
not_ok 'no report of it' test -e NONE
nothing_left 'interrupted'

# --- ended by a signal to it alone, in the middle of a pause
scenario pauses "step 'Nothing'" 'make_key a' "mark 'it pauses'" 'expect here true' 'pause 60000'
"$KMSVOL" scenario run ./pauses.scenario --report NONE >out 2>err &
runner=$!
wait_for 30 grep -q 'ok  *here' out
begun=$SECONDS
kill -TERM "$runner"
wait "$runner"
is 'a pause that is ended: exit code' $? 143
ok 'at once' test $((SECONDS - begun)) -le 15
nothing_left 'a pause that is ended'

# --- refused
mkdir FULL && touch FULL/other
refused 1 "^kmsvol: scenario good: 'FULL': it exists and has no report in it; it is left as it is$" run good --report FULL
is 'and was' "$(ls FULL)" other
refused 1 "^kmsvol: 'frob' is no scenario; 'kmsvol scenario list' shows them$" "$KMSVOL" scenario run frob
refused 1 "^kmsvol: './frob.scenario': No such file" "$KMSVOL" scenario run ./frob.scenario
echo 'echo no' >no.scenario
refused 4 "no.scenario': no scenario: no line '# Title: ...' at its head$" run no
refused 2 "^kmsvol: scenario run: --profile: 'x' is none of kmsvol mount's$" run good --profile x
refused 2 "^kmsvol: scenario run: --key-id, --key-id-b and --confirm-disable-key belong to --against real-aws$" run good --key-id a
refused 2 "^kmsvol: scenario run: --against real-aws: 'good' is not possible there: its head does not say that it is$" run good --against real-aws
sed -i '2i # Real-AWS: no, it has reasons' bad.scenario
refused 2 "'bad' is not possible there: it has reasons$" run bad --against real-aws
sed -i '2i # Real-AWS: yes' good.scenario
refused 2 "^kmsvol: scenario run: --against real-aws: --key-id is needed: no key is made there$" run good --against real-aws
refused 2 "key 'alias/x' will be disabled for minutes, for whoever uses it: --confirm-disable-key says that this is meant$" \
	run good --against real-aws --key-id alias/x
sed -i '2i # Needs: two-keys' good.scenario
refused 2 "'good' needs a second key: --key-id-b$" run good --against real-aws --key-id alias/x
refused 2 '^kmsvol: scenario run: --key-id-b: the same key as --key-id$' run good --against real-aws --key-id a --key-id-b a
refused 1 "^kmsvol: scenario strange: its head says that it needs 'magic', which is not known$" \
	eval 'scenario strange "# Needs: magic"; run strange'
nothing_left 'refused'

# --- as AWS is asked: a kmsd stands in
unset TMPDIR
start_kmsd
make_key
make_key alias/mine
ok 'real AWS: as expected' run good --report R --against real-aws --key-id "$KEY_ARN" --key-id-b alias/mine --confirm-disable-key
done_testing
