#!/bin/bash
# Without root: DIR/disk is a raw image, and what works on one works on it. Started as root, the case runs
# itself as nobody.
. "$(dirname "$0")/../lib/case.sh"
need jq fusermount3 mkfs.ext4 e2fsck
if [ "$(id -u)" -eq 0 ]; then
	need runuser unshare
	[ -c /dev/fuse ] || skip_all 'needs /dev/fuse'
	need aws
	start_kmsd
	make_key alias/demo
	mkdir scratch
	{
		for v in $(compgen -e | grep '^AWS_'); do printf 'export %s=%q\n' "$v" "${!v}"; done
		echo "KEY_ARN=$KEY_ARN"
	} >scratch/kms
	chmod 711 "$DIR"
	chown nobody scratch
	# Both may be where only root gets at.
	install -d -m 755 tree/tests tree/build/tests
	cp -r "$CASE_ROOT/tests/lib" "$CASE_ROOT/tests/cases" tree/tests/
	cp "$BUILD/kmsvol" "$KMSD" tree/build/
	cp "$BUILD"/tests/diskdiff tree/build/tests/ 2>/dev/null
	chmod -R a+rX tree
	# With udev everybody may open /dev/fuse; where there is none, here one that everybody may.
	mkdir dev
	as_nobody=(unshare)
	[ "${TRANSPORT:-}" != io-uring ] || as_nobody=(env URING_ON=exec unshare) switched=with_uring
	${switched:-} "${as_nobody[@]}" -m --propagation private sh -c '
		[ "$(stat -c %a /dev/fuse)" = 666 ] || {
			mount -t tmpfs tmpfs dev && mknod -m 666 dev/fuse c 10 229 && mount --bind dev/fuse /dev/fuse
		}
		exec runuser -u nobody -- env TMPDIR="$1/scratch" BUILD="$1/tree/build" HOME="$1/scratch" \
			tree/tests/cases/raw_image.sh' - "$DIR"
	code=$?
	case_ended=yes
	exit "$code"
fi
need_fuse
is 'this is not root' "$(id -un)" "$(id -un 65534)"

if [ -f "$TMPDIR/kms" ]; then
	. "$TMPDIR/kms"
else
	need aws
	start_kmsd
	make_key alias/demo
fi
SIZE=$((64 << 20))
make_volume V --size $SIZE
mount_volume V D
truncate -s $SIZE IMAGE # to which all the same is done

# each CLAIM CMD...: with @ for the disk and then for the image, which are the same afterwards.
each() {
	local claim=$1 file
	shift
	for file in D/disk IMAGE; do
		"${@//@/$file}" >out 2>&1 || {
			fail "$claim: works on $file" "$(cat out)"
			return
		}
	done
	ok "$claim: disk and image are the same" cmp D/disk IMAGE
}

# --- what it is
is 'the size' "$(stat -c %s D/disk)" $SIZE
is 'nothing is allocated' "$(stat -c %b D/disk)" 0
ok 'it reads as zeros' cmp -n $SIZE D/disk /dev/zero
is 'it is read to its end' "$(wc -c <D/disk)" $SIZE
is 'a read at its end' "$(dd if=D/disk bs=4096 skip=$((SIZE / 4096)) status=none | wc -c)" 0
is 'a read across its end' "$(tail -c 100 D/disk | wc -c)" 100
said=$(dd if=/dev/zero of=D/disk bs=4096 count=1 seek=$((SIZE / 4096)) conv=notrunc 2>&1)
like 'a write at its end' "$said" 'No space left on device'
said=$(dd if=/dev/zero of=D/disk bs=4096 count=1 seek=$((SIZE / 4096 + 1000)) conv=notrunc 2>&1)
like 'a write far behind it' "$said" 'No space left on device'
said=$(printf 'abcdefgh' | dd of=D/disk bs=8 count=1 seek=$((SIZE - 4)) oflag=seek_bytes conv=notrunc 2>&1)
like 'a write across its end' "$said" '(No space left on device|4 bytes copied)'
printf 'abcd' | dd of=IMAGE bs=4 seek=$((SIZE / 4 - 1)) conv=notrunc status=none
is 'its size is the same after that' "$(stat -c %s D/disk)" $SIZE
not_ok 'it cannot be made larger' truncate -s +4096 D/disk
not_ok 'it cannot be removed' rm -f D/disk
not_ok 'nothing can be made beside it' touch D/other

# --- dd
dd if=/dev/urandom of=data bs=64K count=48 status=none
each 'dd' dd if=data of=@ bs=64K conv=notrunc
each 'dd, fsync' dd if=data of=@ bs=1M seek=5 conv=notrunc,fsync
each 'dd, direct' dd if=data of=@ bs=64K seek=200 oflag=direct conv=notrunc
each 'dd, synchronous' dd if=data of=@ bs=4K count=20 seek=4000 oflag=sync conv=notrunc
each 'dd, odd sizes at odd places' dd if=data of=@ bs=777 seek=12345 conv=notrunc
each 'dd, single bytes' dd if=data of=@ bs=1 count=300 seek=20000001 conv=notrunc
each 'dd, more than a request holds' dd if=data of=@ bs=3M seek=8 conv=notrunc
is 'dd, direct read' "$(dd if=D/disk bs=64K skip=200 count=48 iflag=direct status=none | cmp - data 2>&1)" ''

# --- holes

each 'fallocate: punch' fallocate -p -o $((6 << 20)) -l 1000000 @
each 'fallocate: punch at odd places' fallocate -p -o 100 -l 20001 @
each 'fallocate: zero' fallocate -z -o 300000 -l 99999 @
allocated=$(stat -c %b D/disk)
each 'fallocate: punch all of a large range' fallocate -p -o $((20 << 20)) -l $((10 << 20)) @
ok 'a punched range is not allocated' test "$(stat -c %b D/disk)" -lt "$allocated"
is 'sparse copies are the same' "$(cp --sparse=always D/disk COPY && cmp COPY D/disk)" ''
ok 'and sparse' test $(($(stat -c %b COPY) * 512)) -lt $((SIZE / 2))
is 'a copy by holes' "$(cp --sparse=auto D/disk COPY2 && cmp COPY2 D/disk)" ''
ok 'is sparse: SEEK_HOLE works' test $(($(stat -c %b COPY2) * 512)) -lt $((SIZE / 2))

# --- qemu-img
if command -v qemu-img >/dev/null; then
	like 'qemu-img info' "$(qemu-img info D/disk 2>&1)" 'virtual size: 64 MiB'
	ok 'qemu-img convert from it' qemu-img convert -f raw -O qcow2 D/disk X.qcow2
	ok 'the same' qemu-img compare -f raw -F qcow2 D/disk X.qcow2
	qemu-img create -q -f qcow2 Y.qcow2 64M
	ok 'qemu-img convert -n onto it' qemu-img convert -n -f qcow2 -O raw Y.qcow2 D/disk
	ok 'the same' qemu-img compare -f raw -F qcow2 D/disk Y.qcow2
	ok 'and back' qemu-img convert -n -f qcow2 -O raw X.qcow2 D/disk
	ok 'the same' cmp D/disk IMAGE
else
	note 'no qemu-img here'
fi

# --- a file system
ok 'mkfs.ext4' mkfs.ext4 -q -F D/disk
ok 'e2fsck' e2fsck -fn D/disk
if command -v fuse2fs >/dev/null; then
	mkdir FS
	later fusermount3 -uz "$DIR/FS"
	if ok 'fuse2fs' fuse2fs -o fakeroot D/disk FS; then
		cp -r "$CASE_ROOT/tests" FS/
		ok 'files' diff -r "$CASE_ROOT/tests" FS/tests
		ok 'unmount' fusermount3 -u FS
		# It ends after its unmount: only then is all written.
		wait_for 10 sh -c '! fuser D/disk' 2>/dev/null
		wait_for 10 sh -c '! pgrep -u "$(id -u)" -x fuse2fs'
		ok 'e2fsck after it' e2fsck -fn D/disk
	fi
else
	note 'no fuse2fs here'
fi
cp D/disk LAST
ok 'unmounts without root' "$KMSVOL" unmount D
mount_volume V D --read-only
ok 'all is there at the next mount' cmp D/disk LAST
not_ok 'read-only is' dd if=data of=D/disk bs=4K count=1 conv=notrunc status=none
[ ! -d FS ] || {
	ok 'fuse2fs, read-only' fuse2fs -o ro,fakeroot D/disk FS
	ok 'its files' diff -r "$CASE_ROOT/tests" FS/tests
	fusermount3 -u FS
	wait_for 10 sh -c '! pgrep -u "$(id -u)" -x fuse2fs'
}
ok 'unmounts' "$KMSVOL" unmount D

# --- what was never written takes no room
make_volume BIG --size 1T
mount_volume BIG D
is 'a volume of 1 TiB' "$(stat -c %s D/disk)" $((1 << 40))
printf 'x' | dd of=D/disk bs=1 seek=$(((1 << 40) - 1)) conv=notrunc status=none
is 'its last byte' "$(tail -c 1 D/disk)" x
ok 'is found by SEEK_DATA: a copy by holes is done at once' timeout 20 cp --sparse=auto D/disk COPY3
is 'with the last byte' "$(stat -c %s COPY3) $(tail -c 1 COPY3)" "$((1 << 40)) x"
"$KMSVOL" unmount D
ok 'takes less than 1 MiB' test "$(du -sk BIG | cut -f 1)" -lt 1024
done_testing
