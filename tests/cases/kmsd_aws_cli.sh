#!/bin/bash
# Drive kmsd through the real aws command, every operation and its refusals, then send it what no
# client should. TAP. BUILD names the build directory.
set -u
BUILD=${BUILD:-./build}
command -v aws >/dev/null || { echo "1..0 # SKIP no aws command"; exit 77; }
command -v curl >/dev/null || { echo "1..0 # SKIP no curl"; exit 77; }

DIR=$(mktemp -d "${TMPDIR:-/tmp}/kmsd-case.XXXXXX") || exit 1
PID=
clean_up() {
	[ -n "$PID" ] && kill -9 "$PID" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$DIR"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

N=0
FAILED=0
ok() { N=$((N + 1)); echo "ok $N - $1"; }
not_ok() {
	N=$((N + 1)); FAILED=$((FAILED + 1))
	echo "not ok $N - $1"
	printf '%s\n' "${2:-}" | sed 's/^/# /' | head -20
}

# --- the server and its clients ---

# start [OPTION...]: sets PID and URL, waits for the ready line.
start() {
	: >"$DIR/out" # here, not by the child: what the last server said must be gone at once
	"$BUILD/kmsd" --data-dir "$DIR/data" --listen 127.0.0.1:0 "$@" >"$DIR/out" 2>>"$DIR/err" &
	PID=$!
	until grep -q '^kmsd: ready on ' "$DIR/out"; do
		kill -0 "$PID" 2>/dev/null || { echo "Bail out! kmsd ended: $(cat "$DIR/err")"; exit 1; }
		sleep 0.02
	done
	unset AWS_SESSION_TOKEN AWS_PROFILE
	eval "$(grep '^export ' "$DIR/out")"
	URL=$AWS_ENDPOINT_URL
	export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE="$DIR/data/credentials"
	export AWS_MAX_ATTEMPTS=1 AWS_EC2_METADATA_DISABLED=true AWS_PAGER=
}

kms() { aws --endpoint-url "$URL" kms "$@"; }
text() { kms "$@" --output text; }

# works NAME COMMAND...: it must succeed.
works() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$out"; fi
}

# gives NAME WANT COMMAND...: it must succeed and print exactly WANT.
gives() {
	local name=$1 want=$2 out
	shift 2
	if out=$("$@" 2>&1) && [ "$out" = "$want" ]; then ok "$name"; else not_ok "$name" "$out"; fi
}

# refuses NAME EXCEPTION TEXT COMMAND...: the aws command must fail with both.
refuses() {
	local name=$1 type=$2 words=$3 out
	shift 3
	if out=$("$@" 2>&1); then
		not_ok "$name" "it succeeded: $out"
	elif [[ $out == *"($type)"* && $out == *"$words"* ]]; then
		ok "$name"
	else
		not_ok "$name" "$out"
	fi
}

# raw WANT_STATUS WANT_TEXT NAME CURL-ARGUMENTS...
raw() {
	local status=$1 want=$2 name=$3 got
	shift 3
	got=$(curl -sS -m 20 -o "$DIR/body" -w '%{http_code}' "$@" 2>"$DIR/curl.err")
	if [ "$got" = "$status" ] && grep -qF -- "$want" "$DIR/body"; then
		ok "$name"
	else
		not_ok "$name" "$got $(cat "$DIR/body" "$DIR/curl.err")"
	fi
}

# --- SigV4 by hand, for what the aws command will not send ---

hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -hex | sed 's/.* //'; }
hex() { od -An -tx1 -v | tr -d ' \n'; }

# signed DATE SECRET TARGET BODY: curl arguments into the array ARGS
signed() {
	local date=$1 secret=$2 target=$3 body=$4 day=${1:0:8} host=${URL#http://} key scope hash sig
	scope=$day/us-east-1/kms/aws4_request
	hash=$(printf %s "$body" | sha256sum | cut -d' ' -f1)
	hash=$(printf 'POST\n/\n\nhost:%s\nx-amz-date:%s\nx-amz-target:%s\n\nhost;x-amz-date;x-amz-target\n%s' \
		"$host" "$date" "$target" "$hash" | sha256sum | cut -d' ' -f1)
	key=$(printf %s "AWS4$secret" | hex)
	for part in "$day" us-east-1 kms aws4_request; do key=$(printf %s "$part" | hmac "$key"); done
	sig=$(printf 'AWS4-HMAC-SHA256\n%s\n%s\n%s' "$date" "$scope" "$hash" | hmac "$key")
	ARGS=(-H "X-Amz-Date: $date" -H "X-Amz-Target: $target" --data-raw "$body"
		-H "Authorization: AWS4-HMAC-SHA256 Credential=$AWS_ACCESS_KEY_ID/$scope, SignedHeaders=host;x-amz-date;x-amz-target, Signature=$sig"
		-H 'Content-Type: application/x-amz-json-1.1' "$URL/")
}

now() { date -u "${@}" +%Y%m%dT%H%M%SZ; }

# --- the command itself ---

gives "version is printed" "kmsd 0.1.0" "$BUILD/kmsd" --version
works "help is printed" "$BUILD/kmsd" --help
"$BUILD/kmsd" >"$DIR/x" 2>&1
[ $? = 2 ] && ok "no --data-dir is wrong usage" || not_ok "no --data-dir is wrong usage" "$(cat "$DIR/x")"
"$BUILD/kmsd" --data-dir "$DIR/data" --listen 0.0.0.0:0 >"$DIR/x" 2>&1
[ $? = 2 ] && grep -q -- --allow-remote "$DIR/x" && ok "other than loopback wants --allow-remote" ||
	not_ok "other than loopback wants --allow-remote" "$(cat "$DIR/x")"

start --request-timeout 2
"$BUILD/kmsd" --data-dir "$DIR/data" --listen 127.0.0.1:0 >"$DIR/x" 2>&1
[ $? = 1 ] && grep -q "another kmsd is running on it" "$DIR/x" && ok "second server is refused" ||
	not_ok "second server is refused" "$(cat "$DIR/x")"
[ "$(stat -c %a "$DIR/data/root-key" "$DIR/data/credentials" "$DIR/data" | tr '\n' ' ')" = "600 600 700 " ] &&
	ok "root key and credentials are private" || not_ok "root key and credentials are private"

# --- every operation, as it should be used ---

ARN=$(text create-key --description "a key" --tags TagKey=team,TagValue=db --query KeyMetadata.Arn)
ID=${ARN##*/}
[[ $ARN == arn:aws:kms:us-east-1:111122223333:key/*-*-*-*-* ]] && ok "create-key" || not_ok "create-key" "$ARN"
OTHER=$(text create-key --query KeyMetadata.KeyId)
gives "describe-key" "True	a key	Enabled	CUSTOMER" text describe-key --key-id "$ID" \
	--query 'KeyMetadata.[Enabled,Description,KeyState,KeyManager]'
gives "list-keys" 2 text list-keys --query 'length(Keys)'
gives "list-keys in pages" 2 kms list-keys --page-size 1 --query 'length(Keys)' --output json
gives "create-alias prints nothing" "" kms create-alias --alias-name alias/demo --target-key-id "$ID"
gives "list-aliases" "alias/aws/ebs	None
alias/aws/rds	None
alias/demo	$ID" text list-aliases --query 'Aliases[].[AliasName,TargetKeyId]'
gives "list-aliases of another key" "" text list-aliases --key-id "$OTHER" --query 'Aliases[].AliasName'
gives "update-alias prints nothing" "" kms update-alias --alias-name alias/demo --target-key-id "$OTHER"
gives "alias names its new key" "$OTHER" text describe-key --key-id alias/demo --query KeyMetadata.KeyId
works "update-alias back" kms update-alias --alias-name alias/demo --target-key-id "$ID"

printf 'secret row' >"$DIR/plain"
text encrypt --key-id alias/demo --plaintext "fileb://$DIR/plain" --encryption-context a=b,c=d \
	--query CiphertextBlob | base64 -d >"$DIR/blob"
[ -s "$DIR/blob" ] && ok "encrypt" || not_ok "encrypt"
gives "decrypt" "$(base64 <"$DIR/plain")" text decrypt --ciphertext-blob "fileb://$DIR/blob" \
	--encryption-context c=d,a=b --query Plaintext
gives "decrypt with its key named" "$ARN" text decrypt --ciphertext-blob "fileb://$DIR/blob" \
	--encryption-context c=d,a=b --key-id alias/demo --query KeyId
text re-encrypt --ciphertext-blob "fileb://$DIR/blob" --source-encryption-context a=b,c=d \
	--destination-key-id "$OTHER" --destination-encryption-context e=f --query CiphertextBlob |
	base64 -d >"$DIR/blob2"
gives "re-encrypt" "$(base64 <"$DIR/plain")" text decrypt --ciphertext-blob "fileb://$DIR/blob2" \
	--encryption-context e=f --query Plaintext
gives "generate-data-key" 44 text generate-data-key --key-id "$ID" --key-spec AES_256 --query 'length(Plaintext)'
gives "a 32-byte data key is wrapped to 184 bytes" 184 \
	bash -c 'aws --endpoint-url "$0" kms generate-data-key --key-id "$1" --key-spec AES_256 --output text --query CiphertextBlob | base64 -d | wc -c' "$URL" "$ID"
gives "generate-data-key-without-plaintext" "None	$ARN" text generate-data-key-without-plaintext \
	--key-id "$ID" --number-of-bytes 64 --query '[Plaintext,KeyId]'
gives "generate-random" 24 text generate-random --number-of-bytes 16 --query 'length(Plaintext)'
works "get-key-policy gives the default policy" bash -c 'aws --endpoint-url "$0" kms get-key-policy --key-id "$1" --policy-name default --output text --query Policy | grep -q "arn:aws:iam::111122223333:root"' "$URL" "$ID"
POLICY='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}'
gives "put-key-policy prints nothing" "" kms put-key-policy --key-id "$ID" --policy-name default --policy "$POLICY"
gives "get-key-policy gives what was put" "$POLICY" text get-key-policy --key-id "$ID" --policy-name default --query Policy
gives "list-key-policies" default text list-key-policies --key-id "$ID" --query PolicyNames

# --- refusals, by state ---

decrypt() { kms decrypt --ciphertext-blob "fileb://$DIR/blob" --encryption-context a=b,c=d "$@"; }
gives "disable-key prints nothing" "" kms disable-key --key-id "$ID"
refuses "disabled: decrypt" DisabledException "$ARN is disabled." decrypt
refuses "disabled: encrypt" DisabledException "$ARN is disabled." kms encrypt --key-id "$ID" --plaintext YQ==
refuses "disabled: generate-data-key" DisabledException "$ARN is disabled." kms generate-data-key --key-id alias/demo --key-spec AES_128
refuses "disabled: re-encrypt to it" DisabledException "$ARN is disabled." kms re-encrypt \
	--ciphertext-blob "fileb://$DIR/blob2" --source-encryption-context e=f --destination-key-id "$ID"
refuses "disabled: cancel-key-deletion" KMSInvalidStateException "$ARN is not pending deletion." kms cancel-key-deletion --key-id "$ID"
works "disabled: put-key-policy works" kms put-key-policy --key-id "$ID" --policy-name default --policy "$POLICY"
gives "enable-key prints nothing" "" kms enable-key --key-id "$ID"
works "enabled again: decrypt" decrypt
gives "schedule-key-deletion" "$ARN	PendingDeletion	7" text schedule-key-deletion --key-id "$ID" \
	--pending-window-in-days 7 --query '[KeyId,KeyState,PendingWindowInDays]'
refuses "pending deletion: decrypt" KMSInvalidStateException "$ARN is pending deletion." decrypt
refuses "pending deletion: enable-key" KMSInvalidStateException "$ARN is pending deletion." kms enable-key --key-id "$ID"
refuses "pending deletion: schedule again" KMSInvalidStateException "$ARN is pending deletion." kms schedule-key-deletion --key-id "$ID"
refuses "pending deletion: create-alias" KMSInvalidStateException "$ARN is pending deletion." kms create-alias --alias-name alias/late --target-key-id "$ID"
works "pending deletion: describe-key shows the date" bash -c '[ "$(aws --endpoint-url "$0" kms describe-key --key-id "$1" --output text --query "KeyMetadata.DeletionDate")" != None ]' "$URL" "$ID"
gives "cancel-key-deletion" "$ARN" text cancel-key-deletion --key-id "$ID" --query KeyId
gives "cancelled: disabled, no date" "Disabled	None" text describe-key --key-id "$ID" --query 'KeyMetadata.[KeyState,DeletionDate]'
works "enabled after all" kms enable-key --key-id "$ID"

# --- refusals, by what is asked ---

refuses "decrypt: wrong context" InvalidCiphertextException "" kms decrypt --ciphertext-blob "fileb://$DIR/blob" --encryption-context a=B,c=d
refuses "decrypt: no context" InvalidCiphertextException "" kms decrypt --ciphertext-blob "fileb://$DIR/blob"
refuses "decrypt: other key named" IncorrectKeyException "The key ID in the request does not identify a CMK that can perform this operation." decrypt --key-id "$OTHER"
head -c 100 "$DIR/blob" >"$DIR/cut"
refuses "decrypt: truncated" InvalidCiphertextException "" kms decrypt --ciphertext-blob "fileb://$DIR/cut"
head -c 200 /dev/urandom >"$DIR/noise"
refuses "decrypt: random bytes" InvalidCiphertextException "" kms decrypt --ciphertext-blob "fileb://$DIR/noise"
refuses "unknown key id" NotFoundException "Invalid keyId 'fake-key-id'" kms describe-key --key-id fake-key-id
refuses "unknown key" NotFoundException "Key 'arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000' does not exist" kms describe-key --key-id 00000000-0000-4000-8000-000000000000
refuses "unknown alias" NotFoundException "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found." kms describe-key --key-id alias/none
refuses "delete unknown alias" NotFoundException "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found." kms delete-alias --alias-name alias/none
refuses "ARN of another region" NotFoundException "Invalid arn eu-west-1" kms describe-key --key-id arn:aws:kms:eu-west-1:111122223333:key/"$ID"
refuses "ARN of another account" AccessDeniedException "is not authorized to perform: kms:DescribeKey" kms describe-key --key-id arn:aws:kms:us-east-1:123456789012:key/"$ID"
refuses "management by alias" NotFoundException "Invalid keyId 'alias/demo'" kms disable-key --key-id alias/demo
refuses "alias without prefix" ValidationException 'Alias must start with the prefix "alias/".' kms create-alias --alias-name demo --target-key-id "$ID"
refuses "alias of AWS" NotAuthorizedException "" kms create-alias --alias-name alias/aws/ebs --target-key-id "$ID"
refuses "alias twice" AlreadyExistsException "An alias with the name arn:aws:kms:us-east-1:111122223333:alias/demo already exists" kms create-alias --alias-name alias/demo --target-key-id "$ID"
refuses "generate-random too long" ValidationException "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024" kms generate-random --number-of-bytes 1025
refuses "generate-random without size" ValidationException "NumberOfBytes is required." kms generate-random
refuses "data key with neither size" ValidationException "Please specify either number of bytes or key spec." kms generate-data-key --key-id "$ID"
refuses "data key with both sizes" ValidationException "Please specify either number of bytes or key spec." kms generate-data-key --key-id "$ID" --key-spec AES_256 --number-of-bytes 32
head -c 4097 /dev/zero >"$DIR/long"
refuses "encrypt 4097 bytes" ValidationException "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096" kms encrypt --key-id "$ID" --plaintext "fileb://$DIR/long"
refuses "window of 31 days" ValidationException "PendingWindowInDays must be between 7 and 30" kms schedule-key-deletion --key-id "$ID" --pending-window-in-days 31
refuses "bad policy name" ValidationException "Value 'invalid-name' at 'policyName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w]+" kms get-key-policy --key-id "$ID" --policy-name invalid-name
refuses "policy that is not JSON" MalformedPolicyDocumentException "" kms put-key-policy --key-id "$ID" --policy-name default --policy '{"Version"'
refuses "policy too long" LimitExceededException "" kms put-key-policy --key-id "$ID" --policy-name default --policy "$(printf '%33000s' x)"
refuses "asymmetric key without usage" ValidationException "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys." kms create-key --key-spec RSA_2048
refuses "asymmetric key" UnsupportedOperationException "kmsd does not support KeySpec RSA_2048." kms create-key --key-spec RSA_2048 --key-usage ENCRYPT_DECRYPT
refuses "tags twice" TagException "Duplicate tag keys" kms create-key --tags TagKey=a,TagValue=b TagKey=a,TagValue=c
refuses "reserved tag" TagException "Tags beginning with aws: are reserved" kms create-key --tags TagKey=aws:x,TagValue=b
refuses "grant token" InvalidGrantTokenException "" kms encrypt --key-id "$ID" --plaintext YQ== --grant-tokens x
refuses "operation of later" UnsupportedOperationException "kmsd does not support GenerateDataKeyPair yet." kms generate-data-key-pair --key-id "$ID" --key-pair-spec RSA_2048
refuses "wrong secret by the aws command" InvalidSignatureException "The request signature we calculated does not match the signature you provided." env AWS_SECRET_ACCESS_KEY=wrong aws --endpoint-url "$URL" kms list-keys
refuses "unknown access key" UnrecognizedClientException "The security token included in the request is invalid." env AWS_ACCESS_KEY_ID=AKIAAAAAAAAAAAAAAAAA aws --endpoint-url "$URL" kms list-keys
refuses "a region that AWS has not" InvalidSignatureException "Credential should be scoped to a valid region, not 'eu-west-9'." aws --region eu-west-9 --endpoint-url "$URL" kms list-keys
gives "delete-alias prints nothing" "" kms delete-alias --alias-name alias/demo

# --- what no client should send ---

SECRET=$AWS_SECRET_ACCESS_KEY
signed "$(now)" "$SECRET" TrentService.ListKeys '{}'
raw 200 '"Keys"' "signed by hand" "${ARGS[@]}"
raw 200 '"Keys"' "signed by curl" --aws-sigv4 aws:amz:us-east-1:kms --user "$AWS_ACCESS_KEY_ID:$SECRET" \
	-H 'X-Amz-Target: TrentService.ListKeys' -H 'Content-Type: application/x-amz-json-1.1' -d '{}' "$URL/"
# Debian 12's aws command knows neither dry runs nor policies without a name.
signed "$(now)" "$SECRET" TrentService.GenerateDataKey '{"KeyId":"'$ID'","KeySpec":"AES_256","DryRun":true}'
raw 400 '{"__type":"DryRunOperationException","message":"The request would have succeeded, but the DryRun option is set."}' "dry run" "${ARGS[@]}"
signed "$(now)" "$SECRET" TrentService.GetKeyPolicy '{"KeyId":"'$ID'"}'
raw 200 '"PolicyName":"default"' "policy name may be left out" "${ARGS[@]}"
signed "$(now)" "$SECRET" TrentService.DisableKey '{"KeyId":"'$OTHER'"}'
got=$(curl -sS -m 20 -w '%{http_code} %{size_download}' "${ARGS[@]}")
[ "$got" = "200 0" ] && ok "empty output is an empty body" || not_ok "empty output is an empty body" "$got"
curl -sS -m 20 -o /dev/null -D "$DIR/head" "${ARGS[@]}"
grep -qi '^x-amzn-RequestId: [0-9a-f-]\{36\}' "$DIR/head" && grep -qi '^Content-Type: application/x-amz-json-1.1' "$DIR/head" &&
	ok "request id and content type are sent" || not_ok "request id and content type are sent" "$(cat "$DIR/head")"
signed "$(now)" wrong TrentService.ListKeys '{}'
raw 400 '"__type":"InvalidSignatureException"' "wrong secret" "${ARGS[@]}"
signed "$(now -d '-6 minutes')" "$SECRET" TrentService.ListKeys '{}'
raw 400 'Signature expired: ' "stale signature" "${ARGS[@]}"
signed "$(now -d '+6 minutes')" "$SECRET" TrentService.ListKeys '{}'
raw 400 'Signature not yet current: ' "signature of the future" "${ARGS[@]}"
signed "$(now)" "$SECRET" TrentService.NoSuch '{}'
raw 400 '{"__type":"UnknownOperationException"}' "unknown operation" "${ARGS[@]}"
signed "$(now)" "$SECRET" TrentService.ListKeys '{"Limit":'
raw 400 '{"__type":"SerializationException"}' "not JSON" "${ARGS[@]}"
signed "$(now)" "$SECRET" TrentService.ListKeys '{"Limit":"x"}'
raw 400 '{"__type":"SerializationException"}' "a member of another type" "${ARGS[@]}"
raw 400 'Request is missing Authentication Token' "unsigned" -H 'X-Amz-Target: TrentService.ListKeys' -d '{}' "$URL/"
raw 400 "Authorization header requires 'Signature' parameter." "half an Authorization header" \
	-H 'Authorization: AWS4-HMAC-SHA256 Credential=a' -H 'X-Amz-Target: TrentService.ListKeys' -d '{}' "$URL/"
raw 404 UnknownOperationException "GET" "$URL/"
head -c 104857600 /dev/zero >"$DIR/100M"
raw 413 RequestEntityTooLargeException "100 MiB announced" -H 'X-Amz-Target: TrentService.ListKeys' --data-binary "@$DIR/100M" "$URL/"
raw 413 RequestEntityTooLargeException "100 MiB in chunks" -H 'Expect:' -H 'Transfer-Encoding: chunked' \
	-H 'X-Amz-Target: TrentService.ListKeys' --data-binary "@$DIR/100M" "$URL/"
rm -f "$DIR/100M"

# connection BYTES: send them and read until the server closes; the reply is in $DIR/reply.
connection() {
	exec 3<>"/dev/tcp/127.0.0.1/${URL##*:}"
	printf "$1" >&3
	timeout 15 cat <&3 >"$DIR/reply" 2>/dev/null
	local r=$?
	exec 3>&-
	return $r
}
if connection '\x16\x03\x01\x02\x00\x01\x00garbage that is not HTTP\r\n\r\n'; then
	ok "not HTTP is answered or closed"
else
	not_ok "not HTTP is answered or closed" "$(cat "$DIR/reply")"
fi
if connection 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{'; then
	ok "half a body is given up after the time-out"
else
	not_ok "half a body is given up after the time-out"
fi
if connection 'POST / HTTP/1.1\r\nHost: '; then
	ok "half a header is given up after the time-out"
else
	not_ok "half a header is given up after the time-out"
fi
works "and kmsd still serves" decrypt

# --- the audit trail ---

AUDIT=$DIR/data/audit.jsonl
grep -q '"eventName":"Decrypt".*"errorCode":"DisabledException","errorMessage":"'"$ARN"' is disabled."' "$AUDIT" &&
	ok "refusals are in the audit trail" || not_ok "refusals are in the audit trail"
if grep -qF -e "$(base64 <"$DIR/plain")" -e "$SECRET" -e "$(base64 -w0 <"$DIR/blob")" "$AUDIT"; then
	not_ok "secrets are not"
else
	ok "secrets are not"
fi

# --- the end ---

kill -TERM "$PID"
wait "$PID"
status=$?
PID=
[ $status = 0 ] && ok "SIGTERM ends it with 0" || not_ok "SIGTERM ends it with 0" "$status"
[ -s "$DIR/err" ] && not_ok "stderr is silent" "$(cat "$DIR/err")" || ok "stderr is silent"
echo "1..$N"
[ $FAILED = 0 ]
