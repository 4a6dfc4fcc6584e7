# Helpers for the cases with a file system on the volume V at D; to be sourced after case.sh. They use $fs, its type, and
# $ID, the volume's id.
# shellcheck shell=bash

check_fs() {
	"$KMSVOL" mount V RAW --read-only || return
	case $fs in
	ext4) e2fsck -fn RAW/disk ;;
	xfs) xfs_repair -n -f RAW/disk ;;
	btrfs) btrfs check RAW/disk ;;
	esac
	local code=$?
	"$KMSVOL" unmount RAW && return "$code"
}

nothing_left() {
	not_ok "$1: nothing is mounted" grep -F -e "$ID" -e "$DIR/D" /proc/self/mountinfo
	ok "$1: no loop device shows the volume" wait_for 5 sh -c "! grep -l '$ID' /sys/block/loop*/loop/backing_file 2>/dev/null"
	ok "$1: no daemon holds the volume" wait_for 5 flock -n V/lock true
	ok "$1: nothing in /run/kmsvol" wait_for 5 sh -c "! ls -d /run/kmsvol/'$ID'* 2>/dev/null"
	ok "$1: no keeper is left" wait_for 5 no_keeper
}

no_keeper() {
	local pid
	for pid in $(pgrep -f "keeper $DIR/V"); do gone "$pid" || return 1; done
}

# The helper process that looks after the file system while the key is lost.
keeper() { pgrep -f "keeper $DIR/V" | tail -n 1; }

# fs_event RESULT: what was done to it, as the volume's diary has it.
fs_event() { jq -r 'select(.event == "filesystem").result' V/events.jsonl | grep -qx "$1"; }

# By curl: these cases change the key so often that the aws command would take most of their time.
disable() { post DisableKey "{\"KeyId\":\"$KEY_ARN\"}" >/dev/null; }
enable() { post EnableKey "{\"KeyId\":\"$KEY_ARN\"}" >/dev/null; }
status_of() { "$KMSVOL" status V --json | jq -r ".$1"; }
