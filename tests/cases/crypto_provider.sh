#!/bin/bash
# Who computes the ciphers: what one provider wrote another one reads, status says which it is, and a wrong
# name is refused.
. "$(dirname "$0")/../lib/case.sh"
need_fuse
need jq aws

start_kmsd
make_key alias/demo
dd if=/dev/urandom of=data bs=1M count=9 2>/dev/null
want=$(sha256sum <data)

# provider VOL: as its status says.
provider() {
	"$KMSVOL" status "$1" --json | jq -r .crypto_provider
}
content() {
	dd if="$1" bs=1M count=9 iflag=direct 2>/dev/null | sha256sum
}
unmount() {
	need_ok "$1 unmounts" timeout 30 "$KMSVOL" unmount "$1"
}

other=ipsec-mb
make_volume probe
ldd "$KMSVOL" | grep -q IPSec_MB || other=openssl
for cipher in aes-256-gcm chacha20-poly1305 aes-256-xts; do
	says=$other
	[ $cipher != aes-256-xts ] || grep -qw vaes /proc/cpuinfo || says=openssl # it needs the vectors
	make_volume "$cipher" --cipher $cipher
	mount_volume "$cipher" mnt --crypto-provider $other
	is "$cipher: status says $says" "$(provider "$cipher")" $says
	dd if=data of=mnt/disk bs=1M oflag=direct conv=notrunc,fsync 2>/dev/null
	unmount "$cipher"
	mount_volume "$cipher" mnt --crypto-provider openssl
	is "$cipher: status says openssl" "$(provider "$cipher")" openssl
	is "$cipher: what $says wrote OpenSSL reads" "$(content mnt/disk)" "$want"
	unmount "$cipher"
	ok "$cipher: the other provider checks it" "$KMSVOL" check "$cipher" --crypto-provider $other
	ok "$cipher: and exports it" "$KMSVOL" export "$cipher" image --crypto-provider $other
	is "$cipher: the same is in the image" "$(content image)" "$want"
done
refused 2 "crypto-provider.*'rot13'" "$KMSVOL" mount probe mnt --crypto-provider rot13
[ $other = ipsec-mb ] || refused 1 'libipsec-mb-dev' "$KMSVOL" mount probe mnt --crypto-provider ipsec-mb
done_testing
