#!/bin/bash
# long
# Real file systems on a volume, made and mounted by `kmsvol mount --fs`: what fio wrote verifies, also
# after the next mount; the file system's own checker finds nothing; nothing is left behind.
. "$(dirname "$0")/../lib/case.sh"
need aws jq fio fusermount3
need_root
need_fuse

start_kmsd
make_key alias/demo
mkdir D

# work ARGUMENT...: fio writes (or with --verify_only reads) stamped data at D.
work() {
	fio --output-format=terse --directory=D --ioengine=libaio --iodepth=8 --end_fsync=1 \
		--verify=crc32c --verify_fatal=1 --verify_state_save=0 --randseed=7 \
		--name=random --rw=randwrite --bs=4k-64k --bs_unaligned=0 --size=24M --direct=1 \
		--name=files --rw=write --bs=128k --size=32M --nrfiles=16 --ioengine=psync \
		--name=small --rw=randwrite --bs=4k --size=8M --fsync=16 --ioengine=psync "$@"
}

# Checked without a mount of the file system: the volume alone, its disk as it is.
check() {
	mkdir -p RAW
	"$KMSVOL" mount V RAW --read-only || return
	"$@"
	local code=$?
	"$KMSVOL" unmount RAW && return "$code"
}

nothing_left() {
	local id=$1 pid=${2:-}
	not_ok "$fs: nothing is mounted" mountpoint -q D
	not_ok "$fs: no mount names the volume" grep -F -e "$id" -e "$DIR" /proc/self/mountinfo
	not_ok "$fs: no loop device shows the volume" grep -l "$id" /sys/block/loop*/loop/backing_file
	ok "$fs: no daemon holds the volume" flock -n V/lock true
	[ -z "$pid" ] || ok "$fs: the daemon is gone" wait_for 5 ended "$pid"
	is "$fs: nothing in /run/kmsvol" "$(ls -d /run/kmsvol/"$id"* 2>/dev/null)" ''
}

# Gone, or a zombie whose parent takes its time.
ended() {
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"
}

try() {
	local size=$2 id pid
	fs=$1
	need "mkfs.$fs"
	grep -qw "$fs" /proc/filesystems || modprobe "$fs" 2>/dev/null || {
		note "the kernel knows no $fs"
		return
	}
	rm -rf V
	make_volume V --size "$size"
	id=$(jq -r .id V/volume.json)
	later release "$DIR/D"
	ok "$fs: a blank volume gets one" "$KMSVOL" mount V D --fs "$fs"
	pid=$("$KMSVOL" status D --json | jq .pid)
	is "$fs: is mounted" "$(findmnt -no FSTYPE D)" "$fs"
	cp -a "$CASE_ROOT/tests" "$CASE_ROOT/docs" D/
	ok "$fs: fio writes and verifies" work
	ok "$fs: files go and room is given back" sh -c 'rm -r D/docs && sync -f D'
	ok "$fs: unmounts" "$KMSVOL" unmount D
	nothing_left "$id" "$pid"
	ok "$fs: the checker finds nothing" check "${@:3}"
	ok "$fs: mounts again" "$KMSVOL" mount V D --fs "$fs"
	ok "$fs: the second mount kept the files" diff -r "$CASE_ROOT/tests" D/tests
	ok "$fs: what fio wrote verifies" work --verify_only
	ok "$fs: unmounts by the volume's name" "$KMSVOL" unmount V
	for other in ext4 xfs; do
		[ "$other" != "$fs" ] || continue
		refused 1 "the volume holds $fs, not $other" "$KMSVOL" mount V D --fs "$other"
		nothing_left "$id"
	done
	ok "$fs: the refusal changed nothing" check "${@:3}"
}

# FILE_SYSTEMS says which.
for one in ${FILE_SYSTEMS:-ext4 xfs btrfs}; do
	case $one in
	ext4) try ext4 256M e2fsck -fn RAW/disk ;;
	xfs) try xfs 512M xfs_repair -n -f RAW/disk ;;
	btrfs) try btrfs 256M btrfs check RAW/disk ;;
	esac
done

# --- only a blank volume is made into a file system
rm -rf V
make_volume V
mkdir -p RAW
mount_volume V RAW
printf 'x' | dd of=RAW/disk bs=1 seek=50000001 conv=notrunc status=none
ok 'unmounted' "$KMSVOL" unmount RAW
refused 1 'the volume holds data that is no file system known here' "$KMSVOL" mount V D --fs ext4
mount_volume V RAW
is 'a stray byte is still there' "$(dd if=RAW/disk bs=1 skip=50000001 count=1 status=none)" x
ok 'unmounted' "$KMSVOL" unmount RAW
done_testing
