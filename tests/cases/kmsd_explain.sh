#!/bin/bash
# `kmsd explain`: why requests were refused or allowed, while the server runs and after. TAP.
. "$(dirname "$0")/../lib/case.sh"
need aws jq
export AWS_MAX_ATTEMPTS=1

start_kmsd --explain-allowed
make_key alias/k
USER=$(aws iam create-user --user-name test --query User.Arn --output text)
aws iam put-user-policy --user-name test --policy-name volumes --policy-document '{"Version":"2012-10-17","Statement":[
	{"Sid":"ForServices","Effect":"Allow","Action":"kms:CreateGrant","Resource":"*","Condition":{"Bool":{"kms:GrantIsForAWSResource":true}}},
	{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:app":["a","b"]}}}]}'
read -r id secret < <(aws iam create-access-key --user-name test --query 'AccessKey.[AccessKeyId,SecretAccessKey]' --output text)
GRANT=$(aws kms create-grant --key-id "$KEY_ARN" --grantee-principal "$USER" --operations GenerateDataKey \
	--constraints EncryptionContextSubset={vol=1} --query GrantId --output text)
export AWS_ACCESS_KEY_ID=$id AWS_SECRET_ACCESS_KEY=$secret

# event NAME: the id of the latest request of that operation.
event() { jq -r "select(.eventName == \"$1\") | .eventID" "$KMSD_DIR/audit.jsonl" | tail -n 1; }
explain() { "$KMSD" explain "$(event "$1")" --data-dir "$KMSD_DIR" "${@:2}"; }

# has CLAIM TEXT LINE: one of the lines of the text, less its indentation.
has() {
	if sed 's/^ *//' <<<"$2" | grep -qxF -- "$3"; then pass "$1"; else fail "$1" "no line '$3' in:" "$2"; fi
}

aws kms create-grant --key-id "$KEY_ARN" --grantee-principal "$USER" --operations Decrypt >/dev/null 2>&1
WHY=$(explain CreateGrant)
has 'the caller' "$WHY" "caller: $USER (id $(jq -r 'select(.eventName == "CreateGrant") | .userIdentity.principalId' "$KMSD_DIR/audit.jsonl" | tail -n 1), account"
has 'the key policy hands it to the account' "$WHY" "Statement[0] 'Enable IAM User Permissions', Allow: applies, to the caller's"
has 'the statement whose condition was not met' "$WHY" "Statement[0] 'ForServices', Allow: condition not met"
has 'with what it wanted and what there was' "$WHY" 'not met: Bool kms:GrantIsForAWSResource: policy: true; request: false'
has 'the statement about something else' "$WHY" 'Statement[1], Allow: other action'
has 'the grant that was looked at' "$WHY" "grant $GRANT:"
has 'no boundary' "$WHY" 'permissions boundary: none'
has 'why it is no' "$WHY" "=> not allowed: it is left to the caller's own policies, and none of its"
has 'what conditions could see' "$WHY" 'aws:username = test'
is 'it fits 80 columns' "$(awk 'length > 80' <<<"$WHY")" ''
is 'as JSON' "$(explain CreateGrant --json | jq -c '.Decisions[0] | [.Action, .Decision, .DecidedBy, (.Steps | length), .Steps[1].Conditions[0].Got]')" \
	'["kms:CreateGrant","not allowed","identity-based policy",4,["false"]]'

BLOB=$(aws kms encrypt --key-id alias/k --plaintext VG9wU2VjcmV0 --encryption-context app=b --query CiphertextBlob --output text)
WHY=$(explain Encrypt)
has 'an allowed request has a chain too' "$WHY" "=> allowed by: identity-based policy 'volumes', Statement[1]"
has 'with the values that allowed it' "$WHY" 'met: StringEquals kms:EncryptionContext:app: policy: a, b; request: b'
aws kms generate-data-key --key-id alias/k --key-spec AES_256 --encryption-context vol=1,x=y >/dev/null
like 'a grant that allowed it' "$(explain GenerateDataKey --json | jq -r '.Decisions[0] | .Decision + " " + .DecidedBy')" '^allowed grant$'
aws kms decrypt --ciphertext-blob "fileb://$DIR/kmsd/root-key" >/dev/null 2>&1
like 'a request that no policy was asked about' "$(explain Decrypt)" 'No policy was asked: what is wrong with the request came first'
AWS_SECRET_ACCESS_KEY=wrong aws kms list-keys >/dev/null 2>&1
refused 1 'refused before it was known who sent it: InvalidSignatureException$' "$KMSD" explain "$(event ListKeys)" --data-dir "$KMSD_DIR"
refused 1 "event '00000000-0000-4000-8000-000000000000': no such event$" "$KMSD" explain 00000000-0000-4000-8000-000000000000 --data-dir "$KMSD_DIR"
refused 2 'not an event id' "$KMSD" explain nonsense --data-dir "$KMSD_DIR"
refused 2 'data-dir: it is missing' "$KMSD" explain 00000000-0000-4000-8000-000000000000
refused 1 "data directory '$DIR/none': No such file" "$KMSD" explain 00000000-0000-4000-8000-000000000000 --data-dir "$DIR/none"

BEFORE=$(explain CreateGrant)
kill -KILL "$KMSD_PID"
wait "$KMSD_PID" 2>/dev/null
is 'the same after a kill, without a server' "$(KMSD_DATA_DIR=$KMSD_DIR "$KMSD" explain "$(event CreateGrant)")" "$BEFORE"

# Without --explain-allowed.
KEPT=$(wc -l <"$KMSD_DIR/decisions-allowed.jsonl")
start_kmsd
aws kms disable-key --key-id "$KEY_ARN"
aws kms encrypt --key-id alias/k --plaintext VG9wU2VjcmV0 >/dev/null 2>&1
aws kms list-keys >/dev/null
WHY=$(explain Encrypt)
has 'policies allowed what the state refused' "$WHY" "=> allowed by: key policy 'default', Statement[0] 'Enable IAM User"
has 'without the steps' "$WHY" '(the steps to a yes are kept with --explain-allowed only)'
refused 1 'it was allowed, and its chain of decisions is not kept .any more.: the server keeps those with --explain-allowed only$' \
	"$KMSD" explain "$(event ListKeys)" --data-dir "$KMSD_DIR"
is 'allowed requests leave no chain' "$(wc -l <"$KMSD_DIR/decisions-allowed.jsonl")" "$KEPT"
if grep -qF -e "$secret" -e VG9wU2VjcmV0 -e "$BLOB" "$KMSD_DIR"/decisions*.jsonl; then
	fail 'no secret, plaintext or ciphertext is in a chain'
else
	pass 'no secret, plaintext or ciphertext is in a chain'
fi
done_testing
