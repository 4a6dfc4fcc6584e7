#!/bin/bash
# kmsvol bench with a small budget: figures in JSON, a picture that is one, and nothing left behind, also when it
# is interrupted or a mount dies under it. It takes some 25 s.
# long
. "$(dirname "$0")/../lib/case.sh"
need_fuse
need jq fio rsvg-convert
unset XDG_RUNTIME_DIR

mkdir place
bench() {
	timeout 120 "$KMSVOL" bench --dir place --size 16M --cipher aes-256-gcm "$@"
}
# Nothing of it is there any more: files, mounts, processes.
all_gone() {
	[ -z "$(ls -A place)" ] && ! grep -q "$DIR/place" /proc/self/mountinfo &&
		! grep -aqs "$DIR/place" /proc/[0-9]*/cmdline
}

bench --time 5s --json --plot plot.svg >out.json 2>err
is 'it ends well' $? 0
is 'it says nothing on stderr' "$(cat err)" ''
is 'each job was measured on each mount' "$(jq '[.results[] | select(.layer == "mount")] | length' out.json)" 14
is 'everything has a figure' "$(jq '[.results[] | select(.rate.median <= 0 or .rounds < 1)] | length' out.json)" 0
is 'medians lie between the ends' \
	"$(jq '[.results[].rate | select(.min > .median or .max < .median)] | length' out.json)" 0
is 'mounts have CPU time' "$(jq '[.results[] | select(.layer == "mount" and .p99_us.median > 0)] | length' out.json)" 14
like 'it says on what' "$(jq -r '.measured_on | "\(.kernel) \(.openssl) \(.backing_filesystem) \(.fio)"' out.json)" \
	"^$(uname -r) [0-9.]+ [a-z0-9]+ fio-"
like 'it says what encryption costs' "$(jq -r '.reading[]' out.json)" '^Encryption \(aes-256-gcm\) costs a mounted volume '
is 'all layers were' "$(jq -c '[.results[].layer] | unique' out.json)" '["ciphers","memory","mount","store"]'
ok 'the picture is SVG' rsvg-convert -o again.png plot.svg
bench --time 1s --layer ciphers --plot plot.png >out.text
like 'as text it has a table' "$(cat out.text)" '^aes-256-gcm openssl +[0-9]+ ±'
like 'and the other one PNG' "$(head -c 8 plot.png | od -An -c)" 'P +N +G'
ok 'nothing is left' all_gone

# mounted: its mounts are there.
mounted() {
	[ "$(grep -c "$DIR/place.*fuse.kmsvol" /proc/self/mountinfo)" -ge 2 ]
}
start bench "$KMSVOL" bench --dir place --size 16M --cipher aes-256-gcm --layer mount --time 60s
ok 'it mounts' wait_for 60 mounted
kill -TERM "$STARTED" # what a shell starts in the background takes no INT
wait "$STARTED"
is 'interrupted, it dies of the signal' $? 143
ok 'nothing is left' wait_for 10 all_gone

# What is left of a mount that died is a directory; measuring that would be measuring something else.
expect_stderr '.*'
start bench "$KMSVOL" bench --dir place --size 16M --cipher aes-256-gcm --layer mount --time 60s
ok 'it mounts' wait_for 60 mounted
for p in $(pgrep -P "$STARTED" -f 'kmsvol mount'); do kill -KILL "$p"; break; done
wait "$STARTED"
is 'a mount that dies ends it' $? 1
like 'and it says so' "$(cat bench.stderr)" 'kmsvol: bench: .*(is not mounted|not connected|fio)'
ok 'nothing is left' wait_for 10 all_gone

refused 2 "bench: one argument too many: 'a'" "$KMSVOL" bench a
refused 2 "bench: --layer: 'moon'" "$KMSVOL" bench --layer moon
refused 2 'bench: --size' "$KMSVOL" bench --size 1M
refused 1 "bench: --dir: '/no/where'" "$KMSVOL" bench --dir /no/where
refused 1 'are needed; a smaller --size' "$KMSVOL" bench --dir place --size 100T
refused 2 'create: --cipher none' "$KMSVOL" create V --size 1M --key-id alias/demo --cipher none
refused 2 'create: --cipher none' "$KMSVOL" create V --size 1M --key-id alias/demo --insecure-no-encryption
done_testing
