#!/bin/bash
# resize and rotate --rewrap: a volume grows, not mounted and mounted, under load, with file systems on it; its
# data key is wrapped anew under the KMS key's newest material.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse

start_kmsd --rotation-delay 1
make_key alias/demo
make_volume V --size 64M
size_of() { jq .size_bytes V/volume.json; }

# --- not mounted
mount_volume V D
dd if=/dev/urandom of=D/disk bs=1M count=64 oflag=direct conv=notrunc,fsync status=none
cp D/disk BEFORE
"$KMSVOL" unmount D
refused 2 '^kmsvol: resize: --size is needed' "$KMSVOL" resize V
refused 2 "^kmsvol: resize: --size: 'x' is no size" "$KMSVOL" resize V --size x
refused 1 "^kmsvol: volume '.*/V': the new size cannot be smaller than the existing size \(64 MiB\)$" \
	"$KMSVOL" resize V --size 63M
refused 1 "size '67108865' is not a multiple of the block size 4096$" "$KMSVOL" resize V --size 67108865
refused 1 "is larger than 64 TiB" "$KMSVOL" resize V --size 65T
is 'it has its size' "$(size_of)" $((64 << 20))
like 'it grows' "$("$KMSVOL" resize V --size 100M)" '^size: +100 MiB$'
ok 'the same again is no error' "$KMSVOL" resize V --size 100M
is 'the header says so' "$(size_of)" $((100 << 20))
is 'it is whole' "$("$KMSVOL" check V --json | jq -r .state)" intact
mount_volume V D
is 'mounted it has that size' "$(stat -c %s D/disk)" $((100 << 20))
ok 'what was there is there' cmp -n $((64 << 20)) D/disk BEFORE
ok 'what is new reads as zeros' cmp -n $((36 << 20)) -i $((64 << 20)):0 D/disk /dev/zero

# --- mounted, under load
load() {
	while [ ! -e stop ]; do
		dd if=BEFORE of=D/disk bs=64K count=64 oflag=direct conv=notrunc status=none || touch broken
	done
}
load &
loader=$!
refused 1 "the new size cannot be smaller than the existing size \(100 MiB\)$" "$KMSVOL" resize D --size 99M
for size in 200 2000 40000; do # the last one has a second index page, and the roots are longer
	ok "mounted it grows to $size MiB" "$KMSVOL" resize D --size ${size}M
	is "the file has $size MiB" "$(stat -c %s D/disk)" $((size << 20))
	ok 'its end is written' dd if=BEFORE of=D/disk bs=1M count=1 seek=$((size - 1)) conv=notrunc,fsync status=none
	is 'the status says so' "$("$KMSVOL" status V --json | jq .size_bytes)" $((size << 20))
done
touch stop
wait $loader
not_ok 'no write failed meanwhile' test -e broken
ok 'what was there is there' cmp -n $((64 << 20)) D/disk BEFORE
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
"$KMSVOL" unmount D
is 'after a kill it is whole' "$("$KMSVOL" check V --json | jq -r .state)" intact
mount_volume V D
ok 'the ends are there' cmp -n $((1 << 20)) -i $((39999 << 20)):0 D/disk BEFORE
ok 'all of them' cmp -n $((1 << 20)) -i $((199 << 20)):0 D/disk BEFORE

# --- closed for the change, it cannot be opened again: it is tried again
segment=$(ls V/segments | head -n 1)
mv "V/segments/$segment" aside
refused 4 "closed for a change, it cannot be opened again: .*$segment: the file is missing" "$KMSVOL" resize V --size 41000M
wait_for 20 state_is V inaccessible-encryption-credentials-recoverable
like 'the status says why' "$("$KMSVOL" status V --json | jq -r .reason)" 'closed for a change'
mv aside "V/segments/$segment"
wait_for 20 state_is V available
ok 'with what it had' cmp -n $((1 << 20)) -i $((39999 << 20)):0 D/disk BEFORE
is 'and the new size' "$(stat -c %s D/disk)" $((41000 << 20))

# --- the key
aws kms disable-key --key-id "$KEY_ARN"
"$KMSVOL" resize V --size 50000M 2>said
is 'without its key it does not grow: 3' "$?" 3
is 'and stays' "$(stat -c %s D/disk)" $((41000 << 20))
aws kms enable-key --key-id "$KEY_ARN"
wait_for 20 state_is V available
"$KMSVOL" unmount D
mount_volume V D --read-only
refused 1 "it is mounted for reading only$" "$KMSVOL" resize V --size 50000M
"$KMSVOL" unmount D

# --- the data key wrapped anew
refused 2 '^kmsvol: rotate: one of --rewrap and --new-data-key is needed' "$KMSVOL" rotate V
# material: id of the KMS key's material that the data key is wrapped under
material() {
	post Decrypt "$(jq -c '{CiphertextBlob: .wrapped_data_key, EncryptionContext: .encryption_context}' V/volume.json)" |
		jq -r .KeyMaterialId
}
newest() {
	post GenerateDataKey "{\"KeyId\":\"$KEY_ARN\",\"KeySpec\":\"AES_256\"}" | jq -r .KeyMaterialId
}
# rotated_from MATERIAL: new data keys are wrapped under other material
rotated_from() {
	[ "$(newest)" != "$1" ]
}
first=$(material)
mount_volume V D
post RotateKeyOnDemand "{\"KeyId\":\"$KEY_ARN\"}" >/dev/null
ok 'the KMS key is rotated' wait_for 15 rotated_from "$first"
cp V/volume.json HEADER
is 'a rotation of the KMS key alone changes nothing' "$(material)" "$first"
ok 'rewrap, mounted' "$KMSVOL" rotate V --rewrap
second=$(material)
not_ok 'it is wrapped anew' test "$(jq .wrapped_data_key HEADER)" = "$(jq .wrapped_data_key V/volume.json)"
is 'under the newest' "$second" "$(newest)"
not_ok 'which is another' test "$first" = "$second"
ok 'the volume is served' cmp -n $((64 << 20)) D/disk BEFORE
ok 'and grows after it' "$KMSVOL" resize V --size 41000M
is 'the header has both' "$(material) $(size_of)" "$second $((41000 << 20))"
"$KMSVOL" unmount D
post RotateKeyOnDemand "{\"KeyId\":\"$KEY_ARN\"}" >/dev/null
ok 'the KMS key is rotated again' wait_for 15 rotated_from "$second"
ok 'rewrap, not mounted' "$KMSVOL" rotate V --rewrap
is 'under the newest' "$(material)" "$(newest)"
is 'it is whole' "$("$KMSVOL" check V --json | jq -r .state)" intact
aws kms disable-key --key-id "$KEY_ARN"
cp V/volume.json HEADER
"$KMSVOL" rotate V --rewrap 2>said
is 'rewrap with a disabled key: 3' "$?" 3
ok 'nothing was changed' cmp V/volume.json HEADER
aws kms enable-key --key-id "$KEY_ARN"

# --- file systems
if [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ]; then
	for fs in ext4 xfs btrfs; do
		command -v "mkfs.$fs" >/dev/null || continue
		if [ $fs = ext4 ] && ! ((0x$(awk '/CapEff/ { print $2 }' /proc/self/status) >> 24 & 1)); then
			note 'ext4 is left out: growing it needs CAP_SYS_RESOURCE, which this process has not'
			make_volume Fext4 --size 512M
			mount_volume Fext4 M --fs ext4
			refused 1 "^resize2fs 1|the volume has its new size, but not yet what is on it; try again: .*resize2fs failed" \
				sh -c '"$1" resize M --size 1G 2>&1 >/dev/null | grep ^kmsvol >&2; exit 1' - "$KMSVOL"
			is 'the loop device has grown' "$(blockdev --getsize64 "$("$KMSVOL" status Fext4 --json | jq -r .loop_device)")" $((1 << 30))
			"$KMSVOL" unmount M
			ok 'the file system is whole' sh -c '"$1" export Fext4 X >/dev/null && e2fsck -fn X' - "$KMSVOL"
			continue
		fi
		make_volume "F$fs" --size 512M
		mount_volume "F$fs" M --fs $fs
		before=$(df --output=size -B1M M | tail -n 1)
		head -c 20000000 /dev/urandom >M/file
		cp M/file FILE
		rm -f stop broken
		(while [ ! -e stop ]; do cp M/file M/copy && sync M/copy || touch broken; done) &
		loader=$!
		said=$("$KMSVOL" resize M --size 1G --json 2>stderr)
		is "$fs grows in use" "$? $(jq .filesystem_grown <<<"$said")" '0 true'
		ok "$fs has the new room" test "$(df --output=size -B1M M | tail -n 1)" -gt $((before + 400))
		touch stop
		wait $loader
		not_ok "$fs: no write failed" test -e broken
		ok "$fs: files are as they were" cmp M/file FILE
		ok "$fs: the new room is used" dd if=/dev/urandom of=M/large bs=1M count=700 status=none
		"$KMSVOL" unmount M
		mount_volume "F$fs" M --fs $fs
		ok "$fs: and there at the next mount" cmp M/file FILE
		is "$fs: with all of it" "$(stat -c %s M/large)" $((700 << 20))
		"$KMSVOL" unmount M
		rm -rf "F$fs"
	done
fi
done_testing
