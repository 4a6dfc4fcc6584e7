#!/bin/bash
# Two accounts and several regions in one kmsd, through the aws command: who may use whose keys, and who is told
# what about them. TAP.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/aws.sh"
need aws jq
export AWS_MAX_ATTEMPTS=1

A=111122223333 B=444455556666
start_kmsd --account-id $A --account-id $B
URL=$AWS_ENDPOINT_URL
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE
export AWS_SHARED_CREDENTIALS_FILE=$KMSD_DIR/credentials

# in_a, in_b COMMAND...: as the root user of that account.
in_a() { AWS_PROFILE=$A "$@"; }
in_b() { AWS_PROFILE=$B "$@"; }

UNKNOWN='on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access'
ALLOW='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:*","sts:*"],"Resource":"*"}]}'

is 'the first account is the default profile' "$(text sts get-caller-identity --query Account)" $A
is 'each account is a profile' "$(in_b text sts get-caller-identity --query Arn)" "arn:aws:iam::$B:root"
like 'the start names them' "$(cat "$DIR/kmsd.stdout")" "^# account $B: .*aws --profile $B$"
is 'which holds where the first one is exported, too' "$(eval "$(grep '^export AWS_[AS]' "$DIR/kmsd.stdout")"
	text --profile $B sts get-caller-identity --query Account)" $B

# --- IAM is an account's own
ok 'a user in A' in_a aws iam create-user --user-name ann
ok 'a user of the same name in B' in_b aws iam create-user --user-name ann
is 'lists are of the account' "$(in_b text iam list-users --query 'Users[].Arn')" "arn:aws:iam::$B:user/ann"
in_b text iam create-access-key --user-name ann --query 'AccessKey.[AccessKeyId,SecretAccessKey]' >"$DIR/ann"
is 'its user signs in to B' "$(as ann text sts get-caller-identity --query Arn)" "arn:aws:iam::$B:user/ann"

POLICY=$(in_a text iam create-policy --policy-name shared --policy-document "$ALLOW" --query Policy.Arn)
denied 'managed policies too' NoSuchEntity "Policy $POLICY was not found." in_b aws iam get-policy --policy-arn "$POLICY"
denied 'and for users of the own account only' NoSuchEntity 'does not exist or is not attachable' in_b aws iam attach-user-policy --user-name ann --policy-arn "$POLICY"

# --- a key of A, used from B
KEY_ARN=$(in_a text kms create-key --query KeyMetadata.Arn)
like 'a key is of its account' "$KEY_ARN" ":$A:key/"
is 'and in the lists of no other' "$(in_b text kms list-keys --query 'length(Keys)')" 0
denied 'without a policy nothing is said of it' AccessDeniedException "User: arn:aws:iam::$B:root is not authorized to perform: kms:DescribeKey $UNKNOWN" \
	in_b aws kms describe-key --key-id "$KEY_ARN"
denied 'nor of one that is not there' AccessDeniedException "$UNKNOWN" in_b aws kms describe-key --key-id "${KEY_ARN%?????}00000"
in_a aws kms put-key-policy --key-id "$KEY_ARN" --policy '{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Principal":{"AWS":"'$A'"},"Action":"kms:*","Resource":"*"},
	{"Sid":"B","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::'$B':root"},"Action":"kms:*","Resource":"*"}]}'
denied 'the key policy alone is not enough' AccessDeniedException \
	"User: arn:aws:iam::$B:user/ann is not authorized to perform: kms:GenerateDataKey on this resource because no identity-based policy allows the kms:GenerateDataKey action" \
	as ann aws kms generate-data-key --key-id "$KEY_ARN" --key-spec AES_256
ok 'the caller is allowed by its own account too' in_b aws iam put-user-policy --user-name ann --policy-name p --policy-document "$ALLOW"
BLOB=$(as ann text kms generate-data-key --key-id "$KEY_ARN" --key-spec AES_256 --query CiphertextBlob)
like 'then the key works across accounts' "$BLOB" '^AQ'
is 'both ways' "$(as ann text kms decrypt --ciphertext-blob fileb://<(base64 -d <<<"$BLOB") --query KeyId)" "$KEY_ARN"
for op in disable-key get-key-policy list-resource-tags schedule-key-deletion enable-key-rotation; do
	denied "$op does not work across accounts" AccessDeniedException "$UNKNOWN" as ann aws kms "$op" --key-id "$KEY_ARN"
done
ok 'get-key-rotation-status does' as ann aws kms get-key-rotation-status --key-id "$KEY_ARN"
GRANT=$(as ann text kms create-grant --key-id "$KEY_ARN" --grantee-principal "arn:aws:iam::$B:root" --operations Decrypt --query GrantId)
is 'so do grants, issued by B' "$(in_a text kms list-grants --key-id "$KEY_ARN" --query 'Grants[0].IssuingAccount')" "arn:aws:iam::$B:root"
ok 'and revoke-grant' as ann aws kms revoke-grant --key-id "$KEY_ARN" --grant-id "$GRANT"
ok 'a grant of A to B' in_a aws kms create-grant --key-id "$KEY_ARN" --grantee-principal "arn:aws:iam::$B:user/ann" --operations Encrypt Decrypt
in_a aws kms put-key-policy --key-id "$KEY_ARN" --policy '{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Principal":{"AWS":"'$A'"},"Action":"kms:*","Resource":"*"}]}'
ok 'is enough for the key' as ann aws kms decrypt --ciphertext-blob fileb://<(base64 -d <<<"$BLOB")
denied 'but for no other operation' AccessDeniedException "$UNKNOWN" as ann aws kms generate-data-key --key-id "$KEY_ARN" --key-spec AES_256
in_b aws iam delete-user-policy --user-name ann --policy-name p
denied 'nor without the own account' AccessDeniedException 'because no identity-based policy allows the kms:Decrypt action' \
	as ann aws kms decrypt --ciphertext-blob fileb://<(base64 -d <<<"$BLOB")
in_b aws iam put-user-policy --user-name ann --policy-name p --policy-document "$ALLOW"

# --- a role of A, assumed from B
in_a aws iam create-role --role-name shared --assume-role-policy-document '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::'$B':user/ann"},"Action":"sts:AssumeRole"}}' >/dev/null
denied 'a trust policy names nobody of an account that is here and has none' MalformedPolicyDocument "Invalid principal in policy: \"AWS\":\"arn:aws:iam::$B:user/bob\"" \
	in_a aws iam create-role --role-name r2 --assume-role-policy-document '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::'$B':user/bob"},"Action":"sts:AssumeRole"}}'
as ann text sts assume-role --role-arn "arn:aws:iam::$A:role/shared" --role-session-name s1 --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' >"$DIR/shared"
is 'assume-role across accounts' "$(as shared text sts get-caller-identity --query Arn)" "arn:aws:sts::$A:assumed-role/shared/s1"
in_b aws iam delete-user-policy --user-name ann --policy-name p
denied 'it takes both sides' AccessDenied "User: arn:aws:iam::$B:user/ann is not authorized to perform: sts:AssumeRole" \
	as ann aws sts assume-role --role-arn "arn:aws:iam::$A:role/shared" --role-session-name s1

# --- regions
EU=$(AWS_REGION=eu-west-1 text kms create-key --query KeyMetadata.Arn --region eu-west-1)
like 'a key is in the region that the request is signed for' "$EU" "^arn:aws:kms:eu-west-1:$A:key/"
ok 'an alias there' aws --region eu-west-1 kms create-alias --alias-name alias/x --target-key-id "$EU"
denied 'is not here' NotFoundException "Alias arn:aws:kms:us-east-1:$A:alias/x is not found." aws kms describe-key --key-id alias/x
denied 'its ARN is not of this region' NotFoundException 'Invalid arn eu-west-1' aws kms describe-key --key-id "$EU"
EUBLOB=$(aws --region eu-west-1 kms encrypt --key-id alias/x --plaintext aGk= --query CiphertextBlob --output text)
denied 'nor are its ciphertexts' AccessDeniedException 'does not exist in this region' aws kms decrypt --ciphertext-blob fileb://<(base64 -d <<<"$EUBLOB")
ok 'there they are' aws --region eu-west-1 kms decrypt --ciphertext-blob fileb://<(base64 -d <<<"$EUBLOB")
denied 'a region that AWS has not' InvalidSignatureException "Credential should be scoped to a valid region, not 'mars-1'." aws --region mars-1 kms list-keys

# --- the trail
record() { jq -c "select(.eventName == \"GenerateDataKey\" and .recipientAccountId == \"$1\" and .errorCode == null) | $2" "$KMSD_DIR/audit.jsonl" | tail -n 1; }
is 'the caller has a record of what it did' "$(record $B '[.userIdentity.arn, .resources[0].accountId]')" "[\"arn:aws:iam::$B:user/ann\",\"$A\"]"
is 'the owner another, of a stranger' "$(record $A '.userIdentity | [.type, .accountId, .arn]')" "[\"AWSAccount\",\"$B\",null]"
is 'both share an event' "$(record $A .sharedEventID)" "$(record $B .sharedEventID)"
is 'a denial is only its caller'"'"'s' \
	"$(jq -c 'select(.eventName == "DescribeKey" and .errorCode == "AccessDenied") | .recipientAccountId' "$KMSD_DIR/audit.jsonl" | sort -u)" "\"$B\""
accounts_seen() { aws cloudtrail lookup-events "$@" --output json | jq -r '.Events[].CloudTrailEvent | fromjson | .recipientAccountId + " " + .awsRegion' | sort -u; }
is 'lookup-events shows an account its own events' "$(in_b accounts_seen)" "$B us-east-1"
is 'of the region that it is asked in' "$(in_a accounts_seen --region eu-west-1)" "$A eu-west-1"
done_testing
