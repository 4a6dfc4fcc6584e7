#!/bin/bash
# alone: it measures how long things take
# Injected faults: `kmsvol pause-io` lets all I/O wait and loses none of it, beside a lost key too; `kmsvol inject`
# delays, fails or limits what it says and nothing else; status and events tell it in AWS's words; nothing blocks
# an unmount or the daemon's end.
. "$(dirname "$0")/../lib/case.sh"
need aws jq curl
need_fuse

start_kmsd
make_key alias/demo
expect_stderr .
mkdir D
make_volume V
head -c 4096 /dev/urandom >one
head -c 4096 /dev/urandom >two

disable() { post DisableKey "{\"KeyId\":\"$KEY_ARN\"}"; } # sooner than the aws command
enable() { post EnableKey "{\"KeyId\":\"$KEY_ARN\"}"; }
mount_it() { mount_volume V D --check-interval 100ms --time-scale 60 "$@"; }
status_of() { "$KMSVOL" status V --json | jq -r ".$1"; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }
block() { dd if=D/disk bs=4096 skip="$1" count=1 iflag=direct status=none; }
holds() { cmp -s "$1" <(block "$2"); }
waiting() { [ "$(status_of waiting_requests)" -ge "$1" ]; }
dead() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"; }

# write FILE BLOCK: in the background; its process is $WRITER.
write() {
	dd if="$1" of=D/disk bs=4096 seek="$2" oflag=direct conv=notrunc status=none 2>write.err &
	WRITER=$!
	later end_process $WRITER
}

# event_ms FILTER: when the newest such event was.
event_ms() {
	date -d "$(jq -r "select($1) | .time" V/events.jsonl | tail -n 1)" +%s%3N
}

# took CLAIM FROM_MS TO_MS LEAST MOST
took() {
	ok "$1: in $4..$5 ms, was $(($3 - $2))" test "$(($3 - $2))" -ge "$4" -a "$(($3 - $2))" -le "$5"
}

# --- a pause ends by itself; a minute is a second here
mount_it
id=$("$KMSVOL" pause-io V --duration PT1M)
like 'pause: it has an id' "$id" '^EXP[0-9A-Za-z]{15}$'
write one 1
ok 'pause: a write waits' wait_for 5 waiting 1
is 'pause: the volume is still well' "$(status_of volume_status) $(status_of io_performance) $(status_of stalled_io_check)" 'ok normal 0'
like 'pause: status has its end' "$(status_of io_paused_until)" '^20[0-9T:.-]+Z$'
ok 'pause: DIR/status can be read' timeout 5 grep -q '^injected: all I/O waits$' D/status
ok 'pause: the writer ends' wait_for 10 dead $WRITER
wait $WRITER
is 'pause: well' $? 0
ok 'pause: and has written' holds one 1
run="select(.experiment == \"$id\")"
is 'pause: its states' "$(jq -r "$run | .to" V/events.jsonl | paste -sd ' ')" 'running completed'
took 'pause: a scaled minute' "$(event_ms ".experiment == \"$id\" and .to == \"running\"")" \
	"$(event_ms ".experiment == \"$id\" and .to == \"completed\"")" 1000 1100
is 'pause: as EventBridge has it' "$(jq -r "$run | .notification | .\"detail-type\", .source, .detail.\"new-state\".status" V/events.jsonl | paste -sd ' ')" \
	'FIS Experiment State Change aws.fis running FIS Experiment State Change aws.fis completed'
like 'pause: as a line' "$("$KMSVOL" events V)" 'experiment +initiating -> running +aws:ebs:pause-volume-io: all I/O waits, for 1s'

# --- stalled, impaired; stopped early
"$KMSVOL" pause-io V --duration 10m >/dev/null
sleep 0.3
write two 1
wait_for 5 waiting 1
begun=$(now_ms)
ok 'stalled: VolumeStalledIOCheck fails' wait_for 10 sh -c "'$KMSVOL' status V --json | jq -e '.stalled_io_check == 1'"
took 'stalled: after a scaled minute of waiting I/O' "$begun" "$(now_ms)" 850 1400
ok 'stalled: volume status impaired' wait_for 10 sh -c "'$KMSVOL' status V --json | jq -e '.volume_status == \"impaired\"'"
took 'stalled: within two' "$begun" "$(now_ms)" 1850 2400
is 'stalled: I/O performance' "$(status_of io_performance)" stalled
ok 'stalled: there is an event' wait_for 5 sh -c 'jq -r "select(.event == \"volume-status\") | .to" V/events.jsonl | grep -q impaired'
is 'unmount is refused while it is paused' \
	"$("$KMSVOL" unmount D 2>&1 | grep -c 'cannot unmount: its I/O is paused; end that with')" 1
not_ok 'the writer waits' dead $WRITER
ok 'stop: pause-io --duration 0' "$KMSVOL" pause-io V --duration 0
ok 'stop: the writer ends' wait_for 5 dead $WRITER
ok 'stop: and has written' holds two 1
is 'stop: FIS calls it stopped' "$(jq -r 'select(.event == "experiment") | .to' V/events.jsonl | tail -n 1)" stopped
is 'stop: the volume is well' "$(status_of volume_status) $(status_of io_performance) $(status_of stalled_io_check) $(status_of io_paused_until)" \
	'ok normal 0 null'

# --- who waits can be killed; what was written by nobody is not there
"$KMSVOL" pause-io V --duration 1h >/dev/null
write one 2
wait_for 5 waiting 1
kill -TERM $WRITER
ok 'killed: the writer goes' wait_for 2 dead $WRITER
"$KMSVOL" pause-io V --stop
ok 'killed: and has not written' cmp -s <(block 2) <(head -c 4096 /dev/zero)

# --- the key is lost during a pause, and comes back during it
"$KMSVOL" pause-io V --duration 1h >/dev/null
write one 3
wait_for 5 waiting 1
disable
ok 'key: its loss is seen in a pause' wait_for 10 state_is V inaccessible-encryption-credentials-recoverable
"$KMSVOL" pause-io V --stop
sleep 0.3
not_ok 'key: after the pause the writer waits for the key' dead $WRITER
"$KMSVOL" pause-io V --duration 1h >/dev/null
enable
ok 'key: back in a pause' wait_for 10 state_is V available
sleep 0.3
not_ok 'key: then the writer waits for the end of the pause' dead $WRITER
"$KMSVOL" pause-io V --stop
ok 'key: with both reasons gone it ends' wait_for 5 dead $WRITER
wait $WRITER
is 'key: well' $? 0
ok 'key: and has written' holds one 3

# --- unmount --force and the daemon's end do not wait for a pause, and lose nothing
"$KMSVOL" pause-io V --duration 1h >/dev/null
write one 4
wait_for 5 waiting 1
ok 'force: ends a pause, and unmounts' timeout 20 "$KMSVOL" unmount --force D
wait $WRITER
is 'force: the writer ends well' $? 0
mount_it
ok 'force: what waited was written' holds one 4
"$KMSVOL" pause-io V --duration 1h >/dev/null
"$KMSVOL" inject V --latency 60s --write >/dev/null
write two 5
wait_for 5 waiting 1
pid=$(status_of pid)
kill -TERM "$pid"
ok 'SIGTERM: the daemon ends' wait_for 10 dead "$pid"
ok 'SIGTERM: so does the writer' wait_for 5 dead $WRITER
mount_it
is 'SIGTERM: nothing is injected in a new mount' "$("$KMSVOL" inject V --list)" ''

# --- with errors on key loss a pause ends for those who wait
"$KMSVOL" unmount D
mount_it --on-key-loss error
"$KMSVOL" pause-io V --duration 1h >/dev/null
write two 6
wait_for 5 waiting 1
disable
ok 'error: the waiting writer is answered' wait_for 10 dead $WRITER
like 'error: with EIO' "$(cat write.err)" 'Input/output error'
enable
ok 'error: the volume is back' wait_for 10 state_is V available
"$KMSVOL" unmount --force D
mount_it

# --- latency: of writes only; neither reads nor status nor many at once suffer
"$KMSVOL" inject V --latency 1s --write >/dev/null
begun=$(now_ms)
crowd=()
for n in $(seq 30); do
	dd if=one of=D/disk bs=4096 seek=$((100 + n)) oflag=direct conv=notrunc status=none &
	crowd+=($!)
done
ok 'latency: they are delayed' wait_for 5 sh -c "'$KMSVOL' status V --json | jq -e '.delayed_requests >= 10'"
ok 'latency: a read is not' timeout 0.9 dd if=D/disk of=/dev/null bs=4096 count=1 iflag=direct status=none
ok 'latency: DIR/status can be read' timeout 0.9 cat D/status
bad=0
for n in "${crowd[@]}"; do wait "$n" || bad=$((bad + 1)); done
took 'latency: 30 writes at once wait for one second' "$begun" "$(now_ms)" 1000 2500
is 'latency: all were written' "$bad" 0
ok 'latency: rightly' holds one 130
is 'latency: EC2 would warn' "$(status_of volume_status) $(status_of io_performance)" 'warning degraded'
like 'latency: the list' "$("$KMSVOL" inject V --list)" '^EXP[0-9A-Za-z]{15}  aws:ebs:volume-io-latency +ends - +30 of 30  1s for writes$'
write two 7
wait_for 5 sh -c "'$KMSVOL' status V --json | jq -e '.delayed_requests == 1'"
disable
ok 'latency: the key is lost under a delayed write' wait_for 5 state_is V inaccessible-encryption-credentials-recoverable
sleep 1
not_ok 'latency: which then waits for the key' dead $WRITER
enable
ok 'latency: and is written with it' wait_for 10 dead $WRITER
ok 'latency: rightly, too' holds two 7
like 'the list says since when' "$("$KMSVOL" inject V --list --json | jq -r '.[0].started')" "^$(date -u +%Y)-"
ok 'clear' "$KMSVOL" inject V --clear
is 'clear: nothing is left' "$("$KMSVOL" inject V --list --json | jq length)" 0

# --- errors: what fails was not executed, and a seed repeats itself
"$KMSVOL" inject V --error EIO --write >/dev/null
not_ok 'error: a write fails' dd if=two of=D/disk bs=4096 seek=3 oflag=direct conv=notrunc status=none
ok 'error: and was not executed' holds one 3
ok 'error: a flush does not fail' dd if=/dev/null of=D/disk bs=1 conv=notrunc,fsync status=none
"$KMSVOL" inject V --clear
pattern() {
	local n
	"$KMSVOL" inject V --error ENOSPC --percent 40 --read --seed 7 >/dev/null
	for n in $(seq 40); do
		if block "$n" >/dev/null 2>&1; then printf .; else printf x; fi
	done
	"$KMSVOL" inject V --clear
}
first=$(pattern)
like 'error: of 40 % of reads some fail' "$first" 'x.*\..*x'
is 'error: the same ones with the same seed' "$(pattern)" "$first"
before=$(status_of errors)
"$KMSVOL" inject V --error EIO --flush >/dev/null
not_ok 'error: fsync' dd if=/dev/null of=D/disk bs=1 conv=notrunc,fsync status=none
is 'error: is counted' "$(status_of errors)" $((before + 1))
"$KMSVOL" inject V --clear

# --- limits
"$KMSVOL" inject V --iops 100 >/dev/null
begun=$(now_ms)
dd if=D/disk of=/dev/null bs=4096 count=50 iflag=direct status=none
took 'limit: 50 reads at 100 a second' "$begun" "$(now_ms)" 400 1500
"$KMSVOL" inject V --clear
"$KMSVOL" inject V --throughput 10M --read --duration PT1H >/dev/null
begun=$(now_ms)
dd if=D/disk of=/dev/null bs=1M count=5 iflag=direct status=none
took 'limit: 5 MiB at 10 a second' "$begun" "$(now_ms)" 350 1500
"$KMSVOL" inject V --clear

# --- refusals
refused 2 'pause-io: --duration is needed, or --stop$' "$KMSVOL" pause-io V
refused 2 'pause-io: --stop and --duration do not go together$' "$KMSVOL" pause-io V --stop --duration 1m
refused 2 "pause-io: --duration: 'PT' is no duration as ISO 8601 has it" "$KMSVOL" pause-io V --duration PT
refused 1 "volume '[^']*/V': the duration is not in 1ms to 12h$" "$KMSVOL" pause-io V --duration 13h
refused 2 'inject: one of --latency, --error, and --iops with --throughput is needed, and only one$' "$KMSVOL" inject V
refused 2 'inject: one of --latency, --error, and' "$KMSVOL" inject V --latency 1s --error EIO
refused 2 "inject: --percent: '100.1' is not in 0.1 to 100$" "$KMSVOL" inject V --error EIO --percent 100.1
refused 2 "inject: --percent: 'x' is not" "$KMSVOL" inject V --error EIO --percent x
refused 2 'inject: --percent: a limit is for all requests$' "$KMSVOL" inject V --iops 5 --percent 5
refused 1 "volume '[^']*/V': 'EFOO' is none of EIO, ENOSPC, EROFS, ETIMEDOUT$" "$KMSVOL" inject V --error EFOO
refused 1 "volume '[^']*/V': latency 61s is not in 1ms to 60s$" "$KMSVOL" inject V --latency 61s
refused 1 "no experiment 'EXPnone' is running$" "$KMSVOL" inject V --stop EXPnone
for n in $(seq 16); do "$KMSVOL" inject V --latency 1ms --flush >/dev/null; done
refused 1 '16 experiments are running; stop one$' "$KMSVOL" inject V --latency 1ms
"$KMSVOL" inject V --clear
ok 'it unmounts' "$KMSVOL" unmount D
refused 1 "no daemon|not mounted|unmounted" "$KMSVOL" inject V --latency 1s
done_testing
