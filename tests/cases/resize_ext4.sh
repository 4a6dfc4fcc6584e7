#!/bin/bash
# resize of a volume with ext4 on it, while files on it are written: needs CAP_SYS_RESOURCE, which containers often
# lack; then it runs in a User Mode Linux.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/uml.sh"
need jq curl resize2fs
need_root
has_capability 24 || in_uml
need_fuse

start_kmsd
KEY_ARN=$(post CreateKey '{}' | jq -r .KeyMetadata.Arn)
make_volume V --size 256M
mount_volume V M --fs ext4
note "Linux $(uname -r)"
before=$(df --output=size -B1M M | tail -n 1)
head -c 20000000 /dev/urandom >M/file
cp M/file FILE
(while [ ! -e stop ]; do cp M/file M/copy && sync M/copy || touch broken; done) &
loader=$!
said=$("$KMSVOL" resize M --size 512M --json 2>stderr)
is 'ext4 grows in use' "$? $(jq .filesystem_grown <<<"$said")" '0 true'
ok 'it has the new room' test "$(df --output=size -B1M M | tail -n 1)" -gt $((before + 200))
touch stop
wait $loader
not_ok 'no write failed' test -e broken
ok 'files are as they were' cmp M/file FILE
ok 'the new room is used' dd if=/dev/urandom of=M/large bs=1M count=300 status=none
ok 'the same again is no error' "$KMSVOL" resize M --size 512M
"$KMSVOL" unmount M
"$KMSVOL" export V X >/dev/null
ok 'e2fsck finds nothing' e2fsck -fn X
rm -f X
mount_volume V M --fs ext4
ok 'at the next mount the file is there' cmp M/file FILE
is 'and the large one' "$(stat -c %s M/large)" $((300 << 20))
"$KMSVOL" unmount M
done_testing
