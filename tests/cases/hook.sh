#!/bin/bash
# alone: it measures how long an unmount takes
# --on-state-change: the command is run at each change, in order, with what it needs to know; I/O does not wait
# for it; one that fails, hangs or leaves children is told and ended; unmounting does not wait for it.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd
make_key alias/demo
make_volume V
expect_stderr .
INACCESSIBLE=inaccessible-encryption-credentials-recoverable

disable() { aws kms disable-key --key-id "$KEY_ARN"; }
enable() { aws kms enable-key --key-id "$KEY_ARN"; }
# has TEXT FILE
has() { grep -q -- "$1" "$2"; }

mount_volume V D --on-key-loss error --check-interval 100ms --on-state-change \
	"echo \"\$KMSVOL_STATE_FROM \$KMSVOL_STATE \$KMSVOL_VOLUME_ID \$KMSVOL_VOLUME_DIR \$KMSVOL_TIME (\$KMSVOL_REASON)\" >>'$DIR/told';
	echo \"\$KMSVOL_STATE \$KMSVOL_STATE_NEXT\" >>'$DIR/next';
	ls -l /proc/self/fd | grep -c '$DIR' >>'$DIR/fds'; grep SigBlk /proc/self/status >>'$DIR/signals'"
disable
ok 'the command is told of the loss' wait_for 20 has "available $INACCESSIBLE" told
enable
ok 'and of the return' wait_for 20 has 'starting available' told
is 'in order, and before access ends' "$(awk '{ print $1 "-" $2 }' told | tr '\n' ' ')" \
	"available-stopping available-$INACCESSIBLE $INACCESSIBLE-starting starting-available "
is 'which says what comes next' "$(head -n 1 next)" "stopping $INACCESSIBLE"
like 'with volume, time and reason' "$(sed -n 2p told)" \
	" $(jq -r .id V/volume.json) $DIR/V 20[0-9T:.-]+Z \\(.*DisabledException.*\\)$"
is 'it gets no file of ours' "$(sort -u fds)" 0
is 'and no blocked signal' "$(sort -u signals | awk '{ print $2 }')" 0000000000000000
ok 'events tell how it ended' wait_for 5 sh -c '[ "$(grep -c "\"event\":\"hook\".*exit code 0" V/events.jsonl)" -eq 4 ]'
ok 'unmount' "$KMSVOL" unmount D

# Access ends only when the command for "stopping" has ended: what it writes is still there, afterwards.
mount_volume V D --on-key-loss error --check-interval 100ms --on-state-change \
	"[ \$KMSVOL_STATE != stopping ] || { sleep 0.7; dd if=/bin/sh of='$DIR/D/disk' bs=4096 count=10 conv=notrunc,fsync; }"
disable
ok 'unreachable, after the command' wait_for 20 state_is V $INACCESSIBLE
is 'which could still write' "$(jq -r 'select(.event == "hook") | .result' V/events.jsonl | tail -n 2 | sort -u)" 'exit code 0'
enable
ok 'and back' wait_for 20 state_is V available
ok 'with what it wrote' cmp -n 40960 D/disk /bin/sh
ok 'unmount' "$KMSVOL" unmount D

# One that hangs, with a child: the volume goes on without it.
mount_volume V D --on-key-loss error --check-interval 100ms --hook-timeout 1s \
	--on-state-change "echo \$\$ >>'$DIR/pids'; sleep 1000 & echo \$! >>'$DIR/pids'; wait"
disable
ok 'unreachable' wait_for 20 state_is V $INACCESSIBLE
enable
ok 'and back, while it hangs' wait_for 20 state_is V available
ok 'it is killed' wait_for 20 has 'killed: it took too long' V/events.jsonl
ok 'with its child' wait_for 5 sh -c 'for p in $(head -n 2 pids); do kill -0 $p 2>/dev/null && exit 1; done; exit 0'
wait_for 20 sh -c '[ "$(wc -l <pids)" -ge 4 ]'
begin=${EPOCHREALTIME/./}
ok 'unmount while one runs' "$KMSVOL" unmount D
ok 'does not wait for it' test $((${EPOCHREALTIME/./} - begin)) -lt 4000000
ok 'and leaves none' wait_for 5 sh -c 'for p in $(cat pids); do kill -0 $p 2>/dev/null && exit 1; done; exit 0'

mount_volume V D --on-key-loss error --check-interval 100ms --on-state-change 'exit 7'
disable
ok 'one that fails is told' wait_for 20 has 'exit code 7' V/events.jsonl
enable
ok 'and changes nothing' wait_for 20 state_is V available
ok 'unmount' "$KMSVOL" unmount D
refused 2 '--on-state-change: its argument is empty' "$KMSVOL" mount V D --on-state-change ''
done_testing
