#!/bin/bash
# long
# alone: it measures how long things take
# 10,000 requests wait during an outage of ten minutes, 120 times as fast: answered in their order, none lost, none
# wrong; who is killed leaves; a forced unmount and the daemon's end wait for none of them.
. "$(dirname "$0")/../lib/case.sh"
need aws jq curl
need_fuse

N=10000
CROWD=$BUILD/tests/crowd
expect_stderr .
start_kmsd
make_key alias/demo
mkdir D
make_volume V
LOST=inaccessible-encryption-credentials-recoverable

disable() { post DisableKey "{\"KeyId\":\"$KEY_ARN\"}"; }
enable() { post EnableKey "{\"KeyId\":\"$KEY_ARN\"}"; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
waiting() { [ "$("$KMSVOL" status V --json | jq .waiting_requests)" "$1" "$2" ]; }
said() { grep -q "$1" "$2"; }

# within CLAIM MS CMD...: CMD ends with 0, that soon.
within() {
	local begun
	begun=$(now_ms)
	ok "$1" timeout 60 "${@:3}"
	ok "$1: within $2 ms, took $(($(now_ms) - begun))" test $(($(now_ms) - begun)) -le "$2"
}

lose() {
	disable
	need_ok 'the key is lost' wait_for 20 state_is V $LOST
}

mount_volume V D --profile aurora --time-scale 120 --grace 0s --recover-delay 0s
need_ok 'the blocks are filled' "$CROWD" fill D/disk $N
lose
lost=$(now_ms)
"$CROWD" ordered D/disk D/status $N >crowd.out 2>crowd.err &
crowd=$!
later end_process $crowd
ok "$N requests wait" wait_for 60 said "waiting $N" crowd.out
note "they came in $(($(now_ms) - lost)) ms"
within 'status is answered' 1000 "$KMSVOL" status V
within 'DIR/status is read' 1000 cat D/status
is 'and counts them' "$("$KMSVOL" status V --json | jq .waiting_requests)" $N
ok 'all sleep, and can be interrupted' test "$(cat /proc/$crowd/task/*/stat | sed 's/.*) //' | cut -c 1 | sort -u | tr -d '\n')" = S

# Some more, which are killed: they leave, and take nobody with them.
"$CROWD" any D/disk D/status 500 >killed.out 2>&1 &
killed=$!
wait_for 30 waiting -ge $((N + 500))
begun=$(now_ms)
kill -KILL $killed
wait $killed 2>/dev/null
ok 'killed ones leave' wait_for 10 waiting -eq $N
ok "at once, took $(($(now_ms) - begun)) ms" test $(($(now_ms) - begun)) -le 3000

# Ten minutes, scaled, since the volume became unreachable.
left=$((lost + 5000 - $(now_ms)))
[ $left -le 0 ] || sleep "$((left / 1000)).$(printf '%03d' $((left % 1000)))"
waited=$(($(now_ms) - lost))
enable
begun=$(now_ms)
ok 'the volume is back' wait_for 20 state_is V available
wait $crowd
is 'all are answered in their order, none is wrong or failed' "$? $(tail -n 1 crowd.out) $(cat crowd.err)" "0 good $N wrong 0 failed 0 "
note "$N requests, waited for $waited ms, were answered and read again in $(($(now_ms) - begun)) ms"
is 'none was refused, none waits' "$("$KMSVOL" status V --json | jq -c '[.refused_over_limit, .waiting_requests, .waiting_bytes, .errors]')" '[0,0,0,0]'

# --- unmount --force: all end with EIO
lose
"$CROWD" any D/disk D/status $N >forced.out 2>&1 &
crowd=$!
later end_process $crowd
ok 'they wait again' wait_for 60 said "waiting $N" forced.out
refused 1 'cannot unmount: its KMS key is lost and its I/O waits' "$KMSVOL" unmount D
within 'unmount --force' 15000 "$KMSVOL" unmount --force D
wait $crowd
is 'all of them got EIO' "$(tail -n 2 forced.out | paste -sd ' ')" "good 0 wrong 0 failed $N EIO $N"
enable

# --- the daemon is told to end, and then is killed
for signal in TERM KILL; do
	mount_volume V D --profile aurora --time-scale 120 --grace 0s --recover-delay 0s
	pid=$("$KMSVOL" status V --json | jq .pid)
	lose
	"$CROWD" any D/disk D/status 2000 >"$signal.out" 2>&1 &
	crowd=$!
	later end_process $crowd
	ok "$signal: they wait" wait_for 60 said 'waiting 2000' "$signal.out"
	kill -$signal "$pid"
	ok "$signal: the daemon is gone" wait_for 15 gone "$pid"
	within "$signal: so are all who waited" 15000 tail --pid=$crowd -f /dev/null
	like "$signal: with an error each" "$(sed -n 2p "$signal.out")" '^good 0 wrong 0 failed 2000$'
	note "$signal: $(tail -n +3 "$signal.out" | paste -sd ' ')"
	[ $signal = TERM ] || umount D || umount -l D
	ok "$signal: nothing is mounted" wait_for 5 sh -c '! mountpoint -q D'
	enable
done
mount_volume V D
ok 'the volume is well' "$KMSVOL" unmount D
done_testing
