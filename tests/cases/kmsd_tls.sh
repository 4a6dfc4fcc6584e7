#!/bin/bash
# kmsd by HTTPS: with a certificate that it makes itself, and with one of the user's. The aws command and kmsvol
# work against it when they trust it, and are refused by themselves when they do not.
. "$(dirname "$0")/../lib/case.sh"
need aws curl jq openssl

start_kmsd --tls
like 'the endpoint is https' "$AWS_ENDPOINT_URL" '^https://127\.0\.0\.1:[0-9]+$'
is 'what to trust is printed' "$AWS_CA_BUNDLE" "$KMSD_DIR/tls-ca.pem"
is 'the key is private' "$(stat -c %a "$KMSD_DIR/tls.pem")" 600
not_ok 'no key is in what clients get' grep -q PRIVATE "$KMSD_DIR/tls-ca.pem"
CA=$AWS_CA_BUNDLE

make_key alias/tls
like 'the aws command works' "$KEY_ARN" '^arn:aws:kms:'
unset AWS_CA_BUNDLE
ok 'with --ca-bundle too' aws --ca-bundle "$CA" kms describe-key --key-id alias/tls
like 'and not without' "$(aws kms list-keys 2>&1)" 'SSL validation failed|CERTIFICATE_VERIFY_FAILED'
for host in localhost 127.0.0.1; do
	ok "the certificate is for $host" curl -sS --cacert "$CA" -o reply "https://$host:$KMSD_PORT/"
done
like 'and answers as without TLS' "$(cat reply)" UnknownOperationException
ok 'it is for ::1' openssl verify -CAfile "$CA" -verify_ip ::1 "$KMSD_DIR/tls.pem"
not_ok 'and for nobody else' openssl verify -CAfile "$CA" -verify_hostname example.com "$KMSD_DIR/tls.pem"
not_ok 'plain HTTP is not spoken there' curl -sf "http://127.0.0.1:$KMSD_PORT/"
not_ok 'nor TLS 1.1' curl -s --tls-max 1.1 --cacert "$CA" "https://127.0.0.1:$KMSD_PORT/"

# A statement on aws:SecureTransport sees it.
policy() {
	jq -cn --arg secure "$1" '{Version: "2012-10-17", Statement: [
		{Effect: "Allow", Principal: {AWS: "111122223333"}, Action: "kms:*", Resource: "*"},
		{Effect: "Deny", Principal: {AWS: "*"}, Action: "kms:ListGrants", Resource: "*",
		 Condition: {Bool: {"aws:SecureTransport": $secure}}}]}'
}
export AWS_CA_BUNDLE=$CA
ok 'a policy against plain HTTP' aws kms put-key-policy --key-id "$KEY_ARN" --policy-name default --policy "$(policy false)"
ok 'lets HTTPS in' aws kms list-grants --key-id "$KEY_ARN"
ok 'a policy against HTTPS' aws kms put-key-policy --key-id "$KEY_ARN" --policy-name default --policy "$(policy true)"
like 'does not' "$(aws kms list-grants --key-id "$KEY_ARN" 2>&1)" AccessDenied

make_volume V
pass 'kmsvol makes a volume over HTTPS'
other=$DIR/other
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$other.key" -out "$other.pem" \
	-days 30 -subj /CN=localhost -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' 2>/dev/null
AWS_CA_BUNDLE=$other.pem refused 1 "[Cc]ertificate" "$KMSVOL" create W --size 64M --key-id "$KEY_ARN"
like 'the aws command with a wrong authority' "$(AWS_CA_BUNDLE=$other.pem aws kms list-keys 2>&1)" 'SSL validation failed'

made=$(sha256sum <"$CA")
end_process "$KMSD_PID"
start_kmsd --tls
is 'the certificate stays over a restart' "$(sha256sum <"$CA")" "$made"
ok 'and so do the keys' aws kms describe-key --key-id alias/tls
end_process "$KMSD_PID"
echo damaged >"$KMSD_DIR/tls.pem"
start_kmsd --tls
ok 'a damaged one is made anew' aws kms describe-key --key-id alias/tls
end_process "$KMSD_PID"

start_kmsd --tls-cert "$other.pem" --tls-key "$other.key"
export AWS_CA_BUNDLE=$other.pem
ok 'a certificate of the user serves' aws kms describe-key --key-id alias/tls
refused 1 "^kmsd: TLS key '$KMSD_DIR/tls.pem': key values mismatch$" "$KMSD" --data-dir d \
	--tls-cert "$other.pem" --tls-key "$KMSD_DIR/tls.pem"
refused 1 "^kmsd: TLS certificate 'nowhere': " "$KMSD" --data-dir d --tls-cert nowhere --tls-key nowhere
done_testing
