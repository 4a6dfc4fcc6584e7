#!/bin/bash
# Snapshots of mounted file systems, frozen and not: looked into beside their volume, restored, checked by the file
# system's own checker; and of a busy one, whose volume is then killed and snapshotted again.
. "$(dirname "$0")/../lib/case.sh"
need aws jq fio
need_root
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'

start_kmsd
make_key alias/demo
mkdir D S R RAW
for d in D S R RAW; do
	later release "$d"
done

# check VOL CMD...: on the disk of an unmounted volume, whose log it recovers in memory only.
check() {
	"$KMSVOL" mount "$1" RAW || return
	"${@:2}"
	local code=$?
	"$KMSVOL" unmount RAW && return "$code"
}

try() {
	local fs=$1 size=$2
	shift 2
	command -v "mkfs.$fs" >/dev/null || return
	grep -qw "$fs" /proc/filesystems || modprobe "$fs" 2>/dev/null || {
		note "the kernel knows no $fs"
		return
	}
	rm -rf V one two new
	make_volume V --size "$size"
	need_ok "$fs: is made" "$KMSVOL" mount V D --fs "$fs"
	mkdir D/dir
	head -c 3000000 /dev/urandom >D/dir/file # not synced: the freeze does it
	ok "$fs: a snapshot with --freeze" "$KMSVOL" snapshot create V one --freeze
	ok "$fs: it is not frozen any more" timeout 10 touch D/dir/file2
	ok "$fs: the snapshot is mounted beside it" "$KMSVOL" mount one S --fs "$fs"
	ok "$fs: the file is in it" cmp D/dir/file S/dir/file
	not_ok "$fs: what came later is not" test -e S/dir/file2
	not_ok "$fs: it is read-only" touch S/x
	ok "$fs: it is unmounted" "$KMSVOL" unmount S
	head -c 1000000 /dev/urandom >D/dir/file3
	sync -f D
	ok "$fs: a snapshot without" "$KMSVOL" snapshot create V two
	sum=$(cat D/dir/file D/dir/file3 | sha256sum)
	ok "$fs: is restored" "$KMSVOL" restore two new
	"$KMSVOL" unmount D
	ok "$fs: the restored one is mounted, its journal replayed" "$KMSVOL" mount new R --fs "$fs"
	is "$fs: all that was synced is there" "$(cat R/dir/file R/dir/file3 | sha256sum)" "$sum"
	ok "$fs: it can be written" dd if=/dev/zero of=R/zeros bs=1M count=4 conv=fsync status=none
	"$KMSVOL" unmount R
	ok "$fs: its checker finds nothing" check new "$@"
	refused 2 "^kmsvol: volume 'V': --freeze: it is not mounted with --fs$" "$KMSVOL" snapshot create V x --freeze
}
try ext4 128M e2fsck -fn RAW/disk
try xfs 320M xfs_repair -nf RAW/disk
try btrfs 256M btrfs check --readonly RAW/disk

# --- a busy one, killed: fio stamps and verifies its blocks
rm -rf V one two new
make_volume V --size 256M
"$KMSVOL" mount V D --fs ext4
load() {
	fio --output-format=terse --name=j --filename=D/load --size=64M --bs=4k --rw=randwrite --verify=crc32c \
		--verify_fatal=1 --randseed=3 --ioengine=libaio --iodepth=8 --direct=1 --verify_state_save=0 "$@"
}
ok 'a load writes' load --do_verify=0 --end_fsync=1
load --do_verify=0 --time_based --runtime=30 >load.out 2>&1 &
loader=$!
later end_process $loader
for i in 1 2 3; do
	ok "snapshot $i of the busy file system" "$KMSVOL" snapshot create V "busy$i" --json
	sleep 0.3
done
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
end_process $loader
release D
wait_for 10 flock -n V/lock true
ok 'and one of what is left' "$KMSVOL" snapshot create V busy4
for i in 1 4; do
	ok "$i is restored" "$KMSVOL" restore "busy$i" "new$i"
	ok "$i: the journal is replayed" "$KMSVOL" mount "new$i" D --fs ext4
	ok "$i: each block is whole" load --verify_only=1
	"$KMSVOL" unmount D
	ok "$i: e2fsck finds nothing" check "new$i" e2fsck -fn RAW/disk
done
done_testing
