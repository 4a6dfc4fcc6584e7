#!/bin/bash
# The memory of a daemon with a volume of 10 GiB and 1 GiB written on it: below 64 MiB when idle.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
need_fuse
[ -z "${SAN:-}" ] || skip_all 'a sanitizer needs more memory'

# In memory where there is room, for speed.
PLACE=$DIR
free_mib() {
	df -Pm "$1" 2>/dev/null | awk 'NR == 2 { print $4 }'
}
if [ "$(free_mib /dev/shm || echo 0)" -gt 3000 ] &&
	[ "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -gt 4000 ]; then
	PLACE=$(mktemp -d /dev/shm/kmsvol-memory.XXXXXX)
	later rm -rf "$PLACE"
fi
[ "$(free_mib "$PLACE")" -gt 2000 ] || skip_all 'needs 2 GiB of disk'

start_kmsd
make_key alias/demo
make_volume "$PLACE/V" --size 10G
mount_volume "$PLACE/V" D
PID=$("$KMSVOL" status D --json | jq .pid)

rss_below() {
	local kib
	kib=$(awk '/^VmRSS/ { print $2 }' "/proc/$PID/status")
	ok "$1: $((kib / 1024)) MiB are less than 64" test "$kib" -lt 65536
	note "peak: $(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$PID/status") MiB"
}

rss_below 'mounted'
ok '1 GiB is written' sh -c 'for i in 0 1 2 3; do
	dd if=/dev/zero of=D/disk bs=1M count=256 seek=$((i * 2500)) conv=notrunc oflag=direct status=none || exit
done; sync D/disk'
is 'it is there' "$("$KMSVOL" status D --json | jq .mapped_bytes)" $((1 << 30))
rss_below 'written'
ok 'and read' dd if=D/disk of=/dev/null bs=1M iflag=direct status=none count=10240
rss_below 'read'
"$KMSVOL" unmount D
"$KMSVOL" mount "$PLACE/V" D
PID=$("$KMSVOL" status D --json | jq .pid)
is 'it is there at the next mount' "$("$KMSVOL" status D --json | jq .mapped_bytes)" $((1 << 30))
rss_below 'mounted again'
done_testing
