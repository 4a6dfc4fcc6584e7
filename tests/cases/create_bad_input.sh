#!/bin/bash
# kmsvol create: every wrong input has its sentence and exit code, and leaves nothing behind.
. "$(dirname "$0")/../lib/case.sh"
need aws jq

# wrong EXIT REGEX OPTION...: create V with these, and see that V is not there.
wrong() {
	refused "$1" "$2" "$KMSVOL" create V "${@:3}"
	[ ! -e V ] || { fail 'nothing is left behind' "$(ls -la V)"; rm -rf V; }
}

# --- what needs no KMS to be wrong
wrong 2 "^kmsvol: volume 'V': size .*0" --size 0 --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': size .*4097.* (not )?a multiple" --size 4097 --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': size .*" --size 1M --block-size 64K --size 100K --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': size .*64 TiB|70368744177664" --size 65T --key-id alias/demo
wrong 2 "^kmsvol: create: --size: '16777216T' does not fit into 64 bits" --size 16777216T --key-id alias/demo
wrong 2 "^kmsvol: create: --size: '-1' is no size" --size -1 --key-id alias/demo
wrong 2 "^kmsvol: create: --size: '1.5G' is no size" --size 1.5G --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': block size '1000' is not a power of two in 4096..65536" \
	--size 1G --block-size 1000 --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': block size '512' is not a power of two in 4096..65536" \
	--size 1G --block-size 512 --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': block size '0' is not" --size 1G --block-size 0 --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': block size '131072' is not" --size 1G --block-size 128K --key-id alias/demo
wrong 2 "^kmsvol: volume 'V': block size '4294971392' is not" \
	--size 1G --block-size 4294971392 --key-id alias/demo
wrong 2 "^kmsvol: create: --cipher: 'rot13' is none of aes-256-gcm, aes-256-xts" \
	--size 1G --cipher rot13 --key-id alias/demo
wrong 2 "^kmsvol: create: --cipher: 'rot13' is none of" --size 1G --cipher rot13 --key-id alias/demo
wrong 2 "^kmsvol: create: --cipher none, .* and --insecure-no-encryption want each other" --size 1G --cipher none --key-id alias/demo
wrong 2 "^kmsvol: create: --cipher none, .* and --insecure-no-encryption want each other" --size 1G --insecure-no-encryption --key-id alias/demo
wrong 2 "^kmsvol: create: --encryption-context: 'app' is not NAME=VALUE" \
	--size 1G --key-id alias/demo --encryption-context app
wrong 2 "^kmsvol: create: --encryption-context: '=db' is not NAME=VALUE" \
	--size 1G --key-id alias/demo --encryption-context =db

# --- where to ask
wrong 1 "^kmsvol: volume 'V': .*region" --size 1G --key-id alias/demo

start_kmsd
make_key alias/demo

wrong 1 "^kmsvol: volume 'V': encryption context: 'aws:ebs:id' is set to the volume's id" \
	--size 1G --key-id alias/demo --encryption-context aws:ebs:id=vol-1
wrong 2 "^kmsvol: create: --encryption-context: 'a=c': the name 'a' is given twice$" \
	--size 1G --key-id alias/demo --encryption-context a=b --encryption-context a=c

# --- credentials and the way to KMS
(
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
	"$KMSVOL" create V --size 1G --key-id alias/demo >out 2>no-credentials
	echo $? >code
)
is 'no credentials: exit code' "$(cat code)" 1
like 'no credentials: sentence' "$(cat no-credentials)" "^kmsvol: volume 'V': cannot get a data key: .*credentials"
not_ok 'no credentials: nothing is left behind' test -e V
AWS_SECRET_ACCESS_KEY=wrong/wrong/wrong/wrong/wrong/wrong/wrong \
	wrong 1 "cannot get a data key: .*(InvalidSignatureException|signature)" --size 1G --key-id alias/demo
AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE \
	wrong 1 "cannot get a data key: .*(UnrecognizedClientException|security token)" --size 1G --key-id alias/demo
AWS_MAX_ATTEMPTS=1 wrong 1 "cannot get a data key: .*127.0.0.1:1" \
	--size 1G --key-id alias/demo --endpoint-url http://127.0.0.1:1

# --- keys
wrong 3 "cannot get a data key: .*NotFoundException" --size 1G --key-id alias/none
wrong 3 "cannot get a data key: .*NotFoundException" --size 1G --key-id 1234abcd-12ab-34cd-56ef-1234567890ab
wrong 3 "cannot get a data key: .*NotFoundException" --size 1G --key-id no-key
aws kms disable-key --key-id "$KEY_ARN"
wrong 3 "cannot get a data key: .*DisabledException" --size 1G --key-id alias/demo
aws kms schedule-key-deletion --key-id "$KEY_ARN" --pending-window-in-days 7 >/dev/null
wrong 3 "cannot get a data key: .*KMSInvalidStateException" --size 1G --key-id alias/demo
aws kms cancel-key-deletion --key-id "$KEY_ARN" >/dev/null
aws kms enable-key --key-id "$KEY_ARN"

# --- the place
touch file
refused 1 "^kmsvol: volume 'file': .*not a directory" "$KMSVOL" create file --size 1G --key-id alias/demo
refused 1 "^kmsvol: volume 'no/such/V': .*No such file" "$KMSVOL" create no/such/V --size 1G --key-id alias/demo
mkdir full
touch full/mine
refused 1 "^kmsvol: volume 'full': the directory exists and is not empty" \
	"$KMSVOL" create full --size 1G --key-id alias/demo
is 'what was there stays' "$(ls -A full)" mine

# --- and after all that, right input makes a volume
mkdir empty
out=$("$KMSVOL" create empty --size 1G --key-id alias/demo --cipher aes-256-xts --block-size 8K \
	--encryption-context app=db --json)
is 'right input: exit code' $? 0
is 'JSON names the key' "$(jq -r .key_arn <<<"$out")" "$KEY_ARN"
like 'JSON names the volume' "$(jq -r .volume_id <<<"$out")" '^vol-[0-9a-f]{17}$'
is 'the header has what was asked for' \
	"$(jq -c '[.size_bytes, .block_size, .cipher, .encryption_context.app, .encryption_context["aws:ebs:id"] == .id]' \
		empty/volume.json)" '[1073741824,8192,"aes-256-xts","db",true]'
refused 1 "^kmsvol: volume 'empty': the directory exists and is not empty" \
	"$KMSVOL" create empty --size 1G --key-id alias/demo
like 'status of a volume that is not mounted' "$("$KMSVOL" status empty)" '^state: +unmounted$'
ok 'text output' "$KMSVOL" create V --size 1G --key-id alias/demo
is 'a new directory is for its owner only' "$(stat -c %a V)" 700

# --- interrupted while KMS does not answer
need perl
start mute perl -MIO::Socket::INET -e '$|=1; $s=IO::Socket::INET->new(Listen=>5,LocalAddr=>"127.0.0.1") or die;
	print $s->sockport, "\n"; while ($c=$s->accept) { push @c, $c; print "asked\n" }'
wait_for 10 test -s mute.stdout
"$KMSVOL" create W --size 1G --key-id alias/demo --endpoint-url "http://127.0.0.1:$(head -n 1 mute.stdout)" 2>/dev/null &
pid=$!
later end_process "$pid"
ok 'KMS is asked' wait_for 10 grep -q asked mute.stdout
kill -TERM "$pid"
wait "$pid" 2>/dev/null
is 'SIGTERM ends it' $? 143
not_ok 'and nothing is left behind' test -e W

done_testing
