#!/bin/bash
# The sampler of scenarios, on a file that this case plays tricks with: it sees who is served, what is stale, fails, is
# gone or waits, ten times a second, and ends at once whatever hangs.
. "$(dirname "$0")/../lib/case.sh"
need aws jq flock
need_fuse

start_kmsd
make_key
make_volume V
head -c 64k /dev/zero >FILE

# probe TARGET [OPTION]...: into SAMPLES.
probe() {
	rm -f SAMPLES
	"$KMSVOL" scenario probe V --target "$1" --samples SAMPLES "${@:2}" >probe.out 2>&1 &
	prober=$!
	later end_process $prober
}
# Of the newest samples, does one of them have that?
newest() { tail -n 3 SAMPLES | jq -se "map(select($1)) | length > 0"; }
ends_at_once() {
	local begun=${EPOCHREALTIME/./}
	kill -TERM $prober
	wait $prober
	is "$1: exit code" $? 0
	ok "$1: within 3 s" test $((${EPOCHREALTIME/./} - begun)) -lt 3000000
}

probe "$DIR/FILE" --client 'test -e FILE'
ok 'a reader is served' wait_for 20 newest '.reader.ok > 0 and .reader.failed == 0'
ok 'a writer too' wait_for 20 newest '.writer.ok > 0'
ok 'and a client' wait_for 20 newest '.client.ok > 0'
is 'the state of the volume' "$(tail -n 1 SAMPLES | jq -r .state)" unmounted
wait_for 20 sh -c '[ "$(wc -l <SAMPLES)" -ge 20 ]'
ok 'ten times a second' jq -es 'length as $n | ((.[-1].t - .[0].t) / ($n - 1)) as $ms | $ms >= 90 and $ms < 200' SAMPLES
is 'nothing is stale' "$(jq -s 'map(.stale) | add' SAMPLES)" 0
# What the writer was told is durable goes, behind its back.
ok 'old data is noticed' wait_for 20 sh -c 'dd if=/dev/zero of=FILE bs=64k count=1 conv=notrunc status=none; tail -n 3 SAMPLES | jq -se "map(.stale) | add > 0"'
mv FILE AWAY
ok 'what is not there is ENOENT' wait_for 20 newest '.reader.error == "ENOENT" and .writer.error == "ENOENT"'
ok 'the client fails' wait_for 20 newest '.client.failed > 0'
mv AWAY FILE
ok 'what is there again is served' wait_for 20 newest '.reader.ok > 0 and .writer.ok > 0'
ends_at_once 'with nothing that hangs'

mount_volume V D
probe "$DIR/D/disk"
ok 'a volume is served' wait_for 20 newest '.reader.ok > 0 and .writer.ok > 0 and .state == "available"'
"$KMSVOL" pause-io V --duration 10m >/dev/null
ok 'what hangs waits' wait_for 20 newest '.reader.waits and .reader.ms > 1000 and .writer.waits'
lines=$(wc -l <SAMPLES)
ok 'the samples go on' wait_for 20 sh -c "[ \$(wc -l <SAMPLES) -gt $((lines + 5)) ]"
ends_at_once 'with a reader and a writer that hang'
"$KMSVOL" pause-io V --stop >/dev/null
ok 'unmount' "$KMSVOL" unmount D

probe "$DIR/FILE" --client 'sleep 3600'
ok 'a client that hangs waits' wait_for 20 newest '.client.waits'
ok 'who has the lock is alone' flock -w 20 SAMPLES sh -c 'a=$(stat -c %Y.%y FILE); sleep 0.5; [ "$a" = "$(stat -c %Y.%y FILE)" ]'
ends_at_once 'with a client that hangs'
not_ok 'and that client has gone' pgrep -f "^sleep 3600$" -s 0

refused 1 "^kmsvol: '/nowhere/x': No such file" "$KMSVOL" scenario probe V --target FILE --samples /nowhere/x
refused 2 'scenario probe: --target and --samples are needed$' "$KMSVOL" scenario probe V --target FILE
refused 2 'scenario probe: --offset: no multiple of 4096$' "$KMSVOL" scenario probe V --target FILE --samples S --offset 100
refused 1 "^kmsvol: 'nowhere': No such file" "$KMSVOL" scenario calls nowhere S
done_testing
