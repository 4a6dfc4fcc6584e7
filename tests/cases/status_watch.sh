#!/bin/bash
# The live view of `kmsvol status --watch` in a real terminal (tmux): it fits 80x24 and wide ones, follows the
# state and the I/O, leaves the terminal as it was; without a terminal it is plain lines. And `kmsvol events`,
# which tells the same story afterwards.
. "$(dirname "$0")/../lib/case.sh"
need aws jq tmux
need_fuse

start_kmsd
make_key alias/demo
expect_stderr .
mkdir D
make_volume V
mount_volume V D --on-key-loss error --check-interval 100ms --terminal-after 7d

export TMUX_TMPDIR=$DIR
unset TMUX
T=false

# terminal COLUMNS ROWS ENVIRONMENT...: a shell in a new terminal of that size.
terminal() {
	$T kill-server
	T="tmux -f /dev/null -L $1.$2.$#" # a server of its own: the last may take its time to end
	later $T kill-server
	$T new-session -d -s t -x "$1" -y "$2" "env ${*:3} bash --norc"
	$T set-option -g status off
	$T resize-window -t t -x "$1" -y "$2"
}
screen() { $T capture-pane -p -t t; }
shows() { screen | grep -Eq -- "$1"; }
type_keys() { $T send-keys -t t "$@"; }

terminal 80 24 PS1=ready.
wait_for 10 shows 'ready\.'
type_keys "$KMSVOL status V --watch" Enter
ok 'the view comes' wait_for 10 shows '^state +available$'
for row in 'kmsvol +vol-[0-9a-f]{17}  20[0-9-]+T[0-9:]+Z  q: leave' 'volume +/' 'since +20.* ago' 'reason +-' 'key +arn:aws:kms:' \
	'profile +default, 1 times as fast; without the key: error' 'check +next (in|[0-9]).*, every 100ms; last .* ago: ok; [0-9]+ KMS calls' \
	'deadline +given up -' 'KMS error +-' 'EC2 +volume ok, I/O passed, normal, VolumeStalledIOCheck 0' 'injected +-' \
	'waiting +0 requests, 0 KiB; 0 delayed' 'reads +[0-9]+/s' 'writes +[0-9]+/s' \
	'other +0 flushes/s, 0 errors/s; 0 errors' 'store +0 of 64 MiB in use, [0-9]+ MiB on disk'; do
	ok "80x24 has a row: $row" wait_for 5 shows "^$row"
done
ok 'no row is broken into two' test "$(screen | grep -cE '^(kmsvol|volume|state|since|reason|key|profile|check|deadline|KMS error|EC2|injected|waiting|reads|writes|other|store) ')" \
	-eq "$(screen | grep -c .)"

timeout 3 dd if=/dev/urandom of=D/disk bs=64k count=400 conv=notrunc status=none
ok 'writes are seen' wait_for 5 shows '^store +[1-9][0-9]* of 64 MiB'
ok 'and have left a curve' wait_for 5 shows '^writes .*[█#@]'
"$KMSVOL" inject V --latency 5ms --write >experiment
ok 'what is injected is shown' wait_for 5 shows '^injected +5ms for writes'
ok 'and what EC2 would say of it' shows '^EC2 +volume warning, I/O passed, degraded, VolumeStalledIOCheck 0'
"$KMSVOL" inject V --stop "$(cat experiment)"
ok 'and its end' wait_for 5 shows '^injected +-'
aws kms disable-key --key-id "$KEY_ARN"
ok 'the state follows' wait_for 10 shows '^state +inaccessible-encryption-credentials-recoverable$'
ok 'with its deadline' wait_for 5 shows '^deadline +given up in 6d 23h$'
ok 'and the error' wait_for 5 shows '^KMS error +DisabledException: arn:aws:kms:'
like 'state has colour' "$($T capture-pane -p -e -t t | grep '^state')" $'\033\\[.*31m.*inaccessible'
$T resize-window -t t -x 40 -y 10
ok 'a small terminal gets what fits' wait_for 5 sh -c "[ \$($T capture-pane -p -t t | grep -c '^[a-zK]') -le 10 ] &&
	$T capture-pane -p -t t | grep -q '^kmsvol'"
$T resize-window -t t -x 200 -y 50
ok 'a wide one shows whole sentences' wait_for 5 shows '^KMS error +DisabledException: arn:aws:kms:[^ ]* is disabled\. \(refused\)$'
aws kms enable-key --key-id "$KEY_ARN"
ok 'and back' wait_for 10 shows '^state +available$'
type_keys q
ok 'q leaves, and the terminal is as it was' wait_for 5 shows '^ready\.$'
ok 'with what stood there' shows 'status V --watch'
type_keys "$KMSVOL status V --watch" Enter
wait_for 5 shows '^state +available$'
type_keys C-c
wait_for 5 shows '^ready\.$'
type_keys 'echo code $?' Enter
ok 'so does Ctrl-C' wait_for 5 shows '^code 0$'

terminal 80 24 PS1=ready. NO_COLOR=1 LC_ALL=C
wait_for 10 shows 'ready\.'
type_keys "$KMSVOL status V --watch" Enter
ok 'NO_COLOR: the view comes' wait_for 10 shows '^state +available$'
is 'NO_COLOR: no sequence in it' "$($T capture-pane -p -e -t t | grep -c $'\033')" 0
dd if=D/disk of=/dev/null bs=64k count=400 status=none
ok 'C locale: a curve of ASCII' wait_for 5 shows '^reads .*@'
$T kill-server

timeout 2.5 "$KMSVOL" status V --watch >lines
like 'no terminal: a line a look' "$(head -n 1 lines)" \
	'^20[0-9T:.-]+Z available waiting=0 reads/s=[0-9]+ writes/s=[0-9]+ read-MiB/s=[0-9.]+ written-MiB/s=[0-9.]+ last-check=ok kms-error=- volume-status=ok injected=-$'
is 'no terminal: no sequences' "$(grep -c $'\033' lines)" 0
ok 'more than one' test "$(wc -l <lines)" -ge 2
timeout 1.5 "$KMSVOL" status V --watch --json >lines
is 'as JSON' "$(head -n 1 lines | jq -r .state)" available

# --- events
"$KMSVOL" events V >list
like 'events: the mount' "$(head -n 1 list)" '^20[0-9T:.-]+Z  mounted *$'
ok 'events: the refused check' grep -Eq 'key-check +refused +.*DisabledException' list
ok 'events: what was done' grep -q 'io-refused' list
ok 'events: the key is wiped' grep -q 'key-wiped' list
like 'events: the way out' "$(grep -E 'io-refused|key-wiped|recoverable' list | awk '{print $2}' | tr '\n' ' ')" \
	'^io-refused key-wiped state-changed state-changed $'
ok 'events: RDS ids and texts' grep -q 'RDS-EVENT-0419: kmsvol has been unable to access the KMS encryption key' list
is 'events: no good checks' "$(grep -c 'key-check *ok' list)" 0
ok 'events: but with --checks' sh -c "'$KMSVOL' events V --checks | grep -q 'key-check *ok'"
is 'events: JSON is the file' "$("$KMSVOL" events V --json | head -n 3)" "$(head -n 3 V/events.jsonl)"
"$KMSVOL" events D --follow >follow &
follower=$!
later end_process $follower
wait_for 5 grep -q mounted follow
mv V/events.jsonl V/events.jsonl.1 # as when it is full
aws kms disable-key --key-id "$KEY_ARN"
ok 'follow: goes on, over a change of files' wait_for 10 sh -c '[ "$(grep -c RDS-EVENT-0419 follow)" -eq 2 ]'
"$KMSVOL" unmount D
ok 'follow: until the end' wait_for 5 grep -q unmounting follow

# --- the states on the way, while the command for "stopping" is waited for
aws kms enable-key --key-id "$KEY_ARN"
mount_volume V D --on-key-loss read-only --check-interval 100ms --grace 2s --on-state-change '[ $KMSVOL_STATE != stopping ] || sleep 3'
for size in '80 24' '200 50'; do
	# shellcheck disable=SC2086
	terminal $size PS1=ready.
	wait_for 10 shows 'ready\.'
	type_keys "$KMSVOL status V --watch" Enter
	ok "$size: available" wait_for 20 shows '^state +available$'
	aws kms disable-key --key-id "$KEY_ARN"
	ok "$size: warned" wait_for 10 shows '^state +warned$'
	like "$size: in yellow" "$($T capture-pane -p -e -t t | grep '^state')" $'\033\\[.*33m.*warned'
	ok "$size: then what it waits for" wait_for 10 shows '^reason +key lost; what is not yet written is being written down$'
	ok "$size: read-only" wait_for 10 shows '^state +read-only$'
	ok "$size: with the reason, in one row" wait_for 5 shows '^reason +cannot unwrap data key: KMS refused Decrypt'
	is "$size: and every row begins with its name" "$(screen | grep . | grep -cvE '^[A-Za-z][A-Za-z0-9 ]{8} ')" 0
	aws kms enable-key --key-id "$KEY_ARN"
	ok "$size: back" wait_for 20 shows '^state +available$'
done
$T kill-server
"$KMSVOL" unmount D
refused 1 'no volume, and none is mounted there' "$KMSVOL" events "$DIR"
refused 2 'too few arguments' "$KMSVOL" events
done_testing
