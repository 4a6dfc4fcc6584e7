#!/bin/bash
# mount --fs: file systems on the volume through a loop device; what a step that fails, a signal, a dead
# daemon or a lost key leaves behind (nothing); what is on a volume already is never overwritten.
. "$(dirname "$0")/../lib/case.sh"
need_root
need aws jq mkfs.ext4 mkfs.xfs losetup
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'

mkdir D
start_kmsd
make_key alias/demo
make_volume V --size 512M
ID=$(jq -r .id V/volume.json)
VOL=$DIR/V

nothing_left() {
	not_ok "$1: nothing is mounted at D" mountpoint -q D
	is "$1: no mount of the volume" "$(grep -c "$ID" /proc/self/mountinfo)" 0
	is "$1: no loop device" "$(losetup -l | grep -c "$ID")" 0
	is "$1: nothing in /run/kmsvol" "$(find /run/kmsvol -name "$ID*" 2>/dev/null)" ''
	is "$1: status" "$("$KMSVOL" status V --json | jq -r .state)" unmounted
}

later release D
need_ok 'ext4 on a blank volume' "$KMSVOL" mount V D --fs ext4
is 'it is ext4' "$(findmnt -no FSTYPE D)" ext4
loop=$("$KMSVOL" status D --json | jq -r .loop_device)
is 'status knows where it is' "$("$KMSVOL" status V --json | jq -r .filesystem_mountpoint)" "$DIR/D"
is 'the loop device does direct I/O' "$(cat "/sys/block/${loop#/dev/}/loop/dio")" 1
is 'its sectors have 4096 bytes' "$(blockdev --getss "$loop")" 4096
head -c 5000000 /dev/urandom | tee D/file | sha256sum >sum
refused 1 "^kmsvol: volume '[^']*V': in use by process [0-9]+" "$KMSVOL" mount V D --fs ext4
refused 1 "^kmsvol: volume '[^']*V': in use by process [0-9]+" timeout 20 "$KMSVOL" mount V D --fs ext4 --foreground
ok 'a second mount that is refused does no harm' sh -c 'sha256sum <D/file | cmp - sum'

sleep 60 <D/file &
holder=$!
later end_process "$holder"
refused 1 "^kmsvol: '$DIR/D': cannot unmount: in use by process $holder \(sleep\)" "$KMSVOL" unmount D
refused 1 "^kmsvol: '$DIR/D': cannot unmount: in use by process $holder \(sleep\)" "$KMSVOL" unmount D --force
end_process "$holder"
ok 'unmount' "$KMSVOL" unmount D
nothing_left 'after unmount'

# --- what is on it stays
refused 1 "^kmsvol: volume '$VOL': the volume holds ext4, not xfs" "$KMSVOL" mount V D --fs xfs
nothing_left 'another file system'
need_ok 'ext4 again' "$KMSVOL" mount V D --fs ext4
ok 'the file is there' sh -c 'sha256sum <D/file | cmp - sum'
ok 'unmount by the name of the volume' "$KMSVOL" unmount V
need_ok 'read-only' "$KMSVOL" mount V D --fs ext4 --read-only
ok 'the file can be read' sh -c 'sha256sum <D/file | cmp - sum'
not_ok 'and not written' touch D/other
ok 'unmount' "$KMSVOL" unmount D

make_volume RAW --size 64M
mkdir R
mount_volume RAW R
printf 'a record at 10 MiB' | dd of=R/disk bs=4096 seek=2560 conv=notrunc status=none
ok 'unmount' "$KMSVOL" unmount R
refused 1 "the volume holds data that is no file system known here, so none is made on it" \
	"$KMSVOL" mount RAW D --fs ext4
mount_volume RAW R
is 'the data is still there' "$(dd if=R/disk bs=4096 skip=2560 count=1 status=none | head -c 18)" 'a record at 10 MiB'
dd if=/dev/zero of=R/disk bs=4096 seek=2560 count=1 conv=notrunc status=none
ok 'unmount' "$KMSVOL" unmount R
refused 1 "the volume is blank, and read-only: no ext4 can be made" "$KMSVOL" mount RAW D --fs ext4 --read-only
need_ok 'written zeros are blank' "$KMSVOL" mount RAW D --fs ext4
ok 'unmount' "$KMSVOL" unmount D

# --- mkfs fails: xfs wants more than 64 MiB
make_volume SMALL --size 64M
"$KMSVOL" mount SMALL D --fs xfs >out 2>&1
is 'mkfs that fails: exit code' $? 1
like 'mkfs that fails: sentence' "$(cat out)" "^kmsvol: volume '$DIR/SMALL': mkfs.xfs ended with 1"
nothing_left 'mkfs that fails'

# --- a copy of the volume's directory has the same id, and its mount is one of its own
cp -r V COPY
mkdir C
need_ok 'the volume mounts' "$KMSVOL" mount V D --fs ext4
later release C
ok 'so does its copy' "$KMSVOL" mount COPY C --fs ext4
ok 'the copy has the file' sh -c 'sha256sum <C/file | cmp - sum'
ok 'the copy unmounts' "$KMSVOL" unmount C
ok 'the volume is still there' sh -c 'sha256sum <D/file | cmp - sum'
refused 1 "^kmsvol: volume '$DIR/COPY': the volume holds ext4, not xfs" "$KMSVOL" mount COPY C --fs xfs
is 'a mount of the copy that fails leaves the record' \
	"$("$KMSVOL" status D --json | jq -r .filesystem_mountpoint)" "$DIR/D"
ok 'unmount' "$KMSVOL" unmount D
nothing_left 'a copy'

# --- in the foreground
"$KMSVOL" mount V D --fs ext4 --foreground 2>foreground.stderr &
pid=$!
later end_process "$pid"
need_ok 'foreground: mounted' wait_for 20 mountpoint -q D
kill -INT "$pid"
wait "$pid"
is 'foreground: SIGINT unmounts' $? 0
nothing_left 'foreground'

# --- a signal during mount
# interrupted SECONDS: SIGTERM so long after mount has begun (before, it would be for this shell's own traps).
# Its exit code is in $code.
interrupted() {
	"$KMSVOL" mount V D --fs ext4 2>interrupted.stderr &
	pid=$!
	while [ -d "/proc/$pid" ] && ! [ "/proc/$pid/exe" -ef "$KMSVOL" ]; do :; done
	sleep "$1"
	kill -TERM "$pid" 2>/dev/null
	wait "$pid"
	code=$?
}
kill -STOP "$KMSD_PID"
interrupted 0.5
kill -CONT "$KMSD_PID"
is 'a signal while KMS is asked: exit code' "$code" 1
like 'a signal while KMS is asked: sentence' "$(cat interrupted.stderr)" "^kmsvol: (volume '$VOL': )?interrupted"
ok 'a signal while KMS is asked: no daemon' flock -n V/lock true
nothing_left 'a signal while KMS is asked'
# Another volume may be mounted beside this test, or be about to.
ok 'not even an empty /run/kmsvol' wait_for 10 sh -c '! [ -e /run/kmsvol ] || [ -n "$(ls /run/kmsvol)" ]'
bad=''
for after in 0 0.01 0.02 0.03 0.04 0.05 0.06 0.08 0.1 0.12 0.15; do
	interrupted "$after"
	if [ "$code" -eq 0 ]; then
		mountpoint -q D && "$KMSVOL" unmount D || bad+=" $after: 0 but not mounted;"
	elif ! flock -n V/lock true || mountpoint -q D || grep -q "$ID" /proc/self/mountinfo ||
		losetup -l | grep -q "$ID" || [ -n "$(find /run/kmsvol -name "$ID*" 2>/dev/null)" ]; then
		bad+=" $after: something is left;"
		release V
	fi
done
is 'a signal at any time: mounted, or nothing is left' "$bad" ''

# --- the daemon is killed
need_ok 'it mounts' "$KMSVOL" mount V D --fs ext4
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
ok 'unmount after the daemon was killed' timeout 60 "$KMSVOL" unmount D
nothing_left 'killed daemon'
need_ok 'it mounts' "$KMSVOL" mount V D --fs ext4
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
ok 'the mount is dead' wait_for 10 state_is V dead
refused 1 "^kmsvol: volume '$VOL': its daemon has died and left the mount at '$DIR/D'; 'kmsvol unmount $DIR/D'" \
	"$KMSVOL" mount V D --fs ext4
refused 1 "^kmsvol: mount point '$DIR/D': volume '$VOL' is mounted there: its daemon has died" \
	"$KMSVOL" mount RAW D --fs ext4
refused 1 "^kmsvol: mount point '$DIR/D': volume '$VOL' is mounted there: its daemon has died" \
	"$KMSVOL" mount RAW D
ok 'unmount by the name of the volume' timeout 60 "$KMSVOL" unmount V
nothing_left 'killed daemon, by the volume'

# --- umount(8) takes the file system alone
need_ok 'it mounts' "$KMSVOL" mount V D --fs ext4
refused 1 "^kmsvol: mount point '$DIR/D': volume '$VOL' is mounted there$" "$KMSVOL" mount RAW D
ok 'umount' umount D
refused 1 "^kmsvol: volume '$VOL': its file system was unmounted from '$DIR/D'; 'kmsvol unmount $VOL' ends it" \
	"$KMSVOL" mount V D --fs ext4
refused 1 "^kmsvol: mount point '$DIR/D': volume '$VOL' is mounted there: its file system was unmounted" \
	"$KMSVOL" mount RAW D
like 'status says it' "$("$KMSVOL" status V)" "^notice: .*unmounted from '$DIR/D'; 'kmsvol unmount $VOL' ends it"
ok 'unmount' "$KMSVOL" unmount "$VOL"
nothing_left 'umount'

# --- the key is lost: I/O waits, and unmount says so instead of waiting too
need_ok 'it mounts' "$KMSVOL" mount V D --fs ext4 --check-interval 200ms
aws kms disable-key --key-id "$KEY_ARN"
ok 'the key is lost' wait_for 20 state_is V inaccessible-encryption-credentials-recoverable
refused 1 "^kmsvol: volume '$VOL': cannot unmount: its KMS key is lost and its I/O waits; .* --force" \
	"$KMSVOL" unmount D
ok 'it is still mounted' mountpoint -q D
ok 'unmount --force' timeout 60 "$KMSVOL" unmount D --force
nothing_left 'unmount --force'
refused 3 "cannot unwrap data key: .*DisabledException" "$KMSVOL" mount V D --fs ext4
nothing_left 'mount without the key'
aws kms enable-key --key-id "$KEY_ARN"
need_ok 'with the key it mounts again' "$KMSVOL" mount V D --fs ext4
ok 'and the file is there' sh -c 'sha256sum <D/file | cmp - sum'
ok 'unmount' "$KMSVOL" unmount D
mount_volume V R
ok 'the file system is clean' e2fsck -fn R/disk
ok 'unmount' "$KMSVOL" unmount R

done_testing
