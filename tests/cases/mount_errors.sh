#!/bin/bash
# kmsvol mount and unmount: wrong places and wrong times, each with its sentence.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

mkdir D D2 plain
touch file
refused 1 "^kmsvol: volume 'none': No such file or directory" "$KMSVOL" mount none D
refused 1 "^kmsvol: volume 'plain': this is no volume: volume.json is missing" "$KMSVOL" mount plain D
refused 1 "^kmsvol: volume 'file': this is no volume: not a directory" "$KMSVOL" mount file D
refused 1 "^kmsvol: '$DIR/plain': no volume, and none is mounted there$" "$KMSVOL" status plain
refused 1 "^kmsvol: 'D': nothing of kmsvol is mounted there" "$KMSVOL" unmount D

start_kmsd
make_key alias/demo
make_volume V
before=$(tree_hash V)

refused 1 "^kmsvol: mount point 'none': No such file or directory" "$KMSVOL" mount V none
refused 1 "^kmsvol: mount point 'file': .*[Nn]ot a directory" "$KMSVOL" mount V file
refused 1 "^kmsvol: mount point 'V': .*may not be inside each other" "$KMSVOL" mount V V
mkdir -p outer
make_volume outer/W
refused 1 "^kmsvol: mount point 'outer': .*may not be inside each other" "$KMSVOL" mount outer/W outer

# --- the key
aws kms disable-key --key-id "$KEY_ARN"
refused 3 "^kmsvol: volume '[^']*V': (.*: )?cannot unwrap data key: .*DisabledException" "$KMSVOL" mount V D
aws kms schedule-key-deletion --key-id "$KEY_ARN" --pending-window-in-days 7 >/dev/null
refused 3 "cannot unwrap data key: .*KMSInvalidStateException" "$KMSVOL" mount V D
aws kms cancel-key-deletion --key-id "$KEY_ARN" >/dev/null
aws kms enable-key --key-id "$KEY_ARN"
AWS_ACCESS_KEY_ID='' AWS_SECRET_ACCESS_KEY='' refused 1 "cannot unwrap data key: .*credentials" "$KMSVOL" mount V D
AWS_SECRET_ACCESS_KEY=wrong/wrong/wrong/wrong/wrong/wrong/wrong \
	refused 1 "cannot unwrap data key: .*(InvalidSignatureException|signature)" "$KMSVOL" mount V D
AWS_MAX_ATTEMPTS=1 refused 1 "cannot unwrap data key: .*127.0.0.1:1" \
	"$KMSVOL" mount V D --endpoint-url http://127.0.0.1:1
not_ok 'nothing is mounted after all that' mountpoint -q D
ok 'the diary tells of it' grep -q '"event":"attach-failed"' V/events.jsonl
is 'nothing else was changed by all that' "$(tree_hash V)" "$before"

# --- once it is mounted
need_ok 'it mounts' "$KMSVOL" mount V D
later release D
pid=$("$KMSVOL" status V --json | jq .pid)
refused 1 "^kmsvol: volume '[^']*V': in use by process $pid" "$KMSVOL" mount V D2
is 'status by the mount point is status of the volume' \
	"$("$KMSVOL" status D --json | jq -r .volume_id)" "$(jq -r .id V/volume.json)"
not_ok 'nothing is mounted at the second place' mountpoint -q D2

refused 1 "^kmsvol: mount point '$DIR/D': volume '$DIR/V' is mounted there$" "$KMSVOL" mount outer/W D
is 'nothing was mounted over it' "$(grep -c " $DIR/D " /proc/self/mountinfo)" 1

sleep 60 <D/disk &
holder=$!
later end_process "$holder"
refused 1 "^kmsvol: '[^']*/D': cannot unmount: in use by process .*$holder \(sleep\)" "$KMSVOL" unmount D
ok 'it is still mounted' mountpoint -q D
end_process "$holder"
ok 'unmounted by the name of the volume' "$KMSVOL" unmount V
not_ok 'nothing is mounted' mountpoint -q D
ok 'the daemon is gone' gone "$pid"
refused 1 "nothing of kmsvol is mounted there" "$KMSVOL" unmount D

# --- a daemon that was killed leaves a dead mount, which unmount takes away
need_ok 'it mounts again' "$KMSVOL" mount V D
pid=$("$KMSVOL" status D --json | jq .pid)
kill -KILL "$pid"
wait_for 10 gone "$pid"
not_ok 'the mount is dead' cat D/status
is 'status says so' "$("$KMSVOL" status V --json | jq -r '.state + ": " + .notice')" \
	"dead: its daemon has died and left the mount at '$DIR/D'; 'kmsvol unmount $DIR/D' takes it away"
refused 1 "^kmsvol: volume '$DIR/V': its daemon has died and left the mount at '$DIR/D'; 'kmsvol unmount $DIR/D' takes it away" \
	"$KMSVOL" mount V D
refused 1 "^kmsvol: volume '$DIR/V': its daemon has died" "$KMSVOL" mount V D2
refused 1 "^kmsvol: mount point '$DIR/D': volume '$DIR/V' is mounted there: its daemon has died" \
	"$KMSVOL" mount outer/W D
ok 'unmount takes it away' "$KMSVOL" unmount D
not_ok 'nothing is mounted any more' mountpoint -q D
ok 'and the volume mounts' "$KMSVOL" mount V D
ok 'and unmounts' "$KMSVOL" unmount D

# --- without standard streams, whose places the volume's lock must not get
ok 'it mounts with standard input and output closed' eval '"$KMSVOL" mount V D <&- >&-'
pid=$("$KMSVOL" status V --json | jq .pid)
refused 1 "^kmsvol: volume '[^']*V': in use by process $pid" "$KMSVOL" mount V D2
ok 'it may open as many files as a large volume has segments' \
	awk '/^Max open files/ { exit !($4 >= 65536 || $4 == $5) }' "/proc/$pid/limits"
ok 'and unmounts after that' "$KMSVOL" unmount D

# --- what lies over a mount is not the daemon's to take away, nor that of unmount
if [ "$(id -u)" = 0 ] && "$KMSVOL" mount V D && mount -t tmpfs none D 2>/dev/null; then
	later umount -l D
	refused 1 "^kmsvol: '$DIR/D': cannot unmount: something is mounted over it: tmpfs 'none'; unmount that first" \
		timeout 20 "$KMSVOL" unmount V
	is 'what is mounted over it stays' "$(stat -f -c %T D)" tmpfs
	pid=$("$KMSVOL" status V --json | jq .pid)
	kill -TERM "$pid"
	wait_for 10 gone -0 "$pid"
	is 'a mount over it stays when the daemon ends' "$(stat -f -c %T D)" tmpfs
	umount D
	ok 'and the dead one below goes' "$KMSVOL" unmount D
fi
if [ "$(id -u)" = 0 ] && "$KMSVOL" mount V D && mount --bind D D2 2>/dev/null; then
	later umount -l D2
	"$KMSVOL" unmount D >/dev/null 2>stderr
	like 'a bind mount keeps its daemon, and unmount does not wait for it' "$(cat stderr)" \
		"^kmsvol: volume '$DIR/V': it is also mounted at '$DIR/D2?', and its daemon serves that; unmount that too"
	ok 'unmount by the name of the volume takes the other' "$KMSVOL" unmount V
	not_ok 'nothing is mounted' mountpoint -q D2
fi

# --- a FUSE mount that fails takes nothing away: in a name space with a wrong /dev/fuse, on another mount
if [ "$(id -u)" = 0 ] && unshare -m mount --bind /dev/null /dev/fuse 2>/dev/null; then
	# shellcheck disable=SC2016
	unshare -m sh -c 'mount --bind /dev/null /dev/fuse && mount -t tmpfs none D && "$1" mount V D; stat -f -c %T D' \
		sh "$KMSVOL" >out 2>stderr
	is 'a FUSE mount that fails leaves what was mounted there' "$(cat out)" tmpfs
	like 'it says that it failed' "$(cat stderr)" "^kmsvol: volume '$DIR/V': mount at '$DIR/D': refused"
	not_ok 'and nothing of unmounting' grep -q 'cannot unmount' stderr
fi
done_testing
