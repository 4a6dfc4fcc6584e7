#!/bin/bash
# What administrators ran into and wrote articles about, replayed with the aws command: the user who may not
# create the grant that its encrypted volume needs, the key policy that shuts its author out, the disabled key.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/aws.sh"
need aws jq
export AWS_MAX_ATTEMPTS=1

ACCOUNT=111122223333
USER=arn:aws:iam::$ACCOUNT:user/test
document() { printf '{"Version":"2012-10-17","Statement":[%s]}' "$1"; }
make_user() {
	aws iam create-user --user-name "$1" >/dev/null &&
		text iam create-access-key --user-name "$1" --query 'AccessKey.[AccessKeyId,SecretAccessKey]' >"$DIR/$1"
}

# The reader is deleted, and another user made of that name.
remake_reader() {
	local key
	key=$(cut -f1 "$DIR/reader")
	aws iam delete-user-policy --user-name reader --policy-name own 2>/dev/null
	aws iam delete-access-key --user-name reader --access-key-id "$key" &&
		aws iam delete-user --user-name reader && make_user reader
}

# allow USER STATEMENT...: the statements are all that the user's policy has.
allow() {
	aws iam put-user-policy --user-name "$1" --policy-name own --policy-document "$(document "$2")"
}

# refused CLAIM CODE OPERATION TEXT COMMAND...: it fails with exactly AWS's line.
refused() {
	local out
	if out=$("${@:5}" 2>&1); then
		fail "$1" "it succeeded: $out"
	else
		is "$1" "$(sed '/^$/d' <<<"$out")" "An error occurred ($2) when calling the $3 operation: $4"
	fi
}

# --- the instance that does not start

start_kmsd
KEY=$(text kms create-key --query KeyMetadata.Arn) || exit 1
make_user test || exit 1
make_user reader || exit 1
READER=arn:aws:iam::$ACCOUNT:user/reader
grant() { as test aws kms create-grant --key-id "$KEY" --grantee-principal "$READER" --operations Decrypt --output text --query GrantId; }
may_not() { # USER OPERATION
	echo "User: arn:aws:iam::$ACCOUNT:user/$1 is not authorized to perform: kms:$2 on resource: $KEY because no identity-based policy allows the kms:$2 action"
}

refused 'a user without permission creates no grant' AccessDeniedException CreateGrant "$(may_not test CreateGrant)" grant
EVENT=$(text cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateGrant \
	--query 'Events[0].CloudTrailEvent')
is 'the event history shows who was refused' "$(jq -r '[.eventName, .errorCode, .userIdentity.userName] | join(" ")' <<<"$EVENT")" \
	'CreateGrant AccessDenied test'
is 'and why, in the same words' "$(jq -r .errorMessage <<<"$EVENT")" "$(may_not test CreateGrant)"

CREATE='{"Effect":"Allow","Action":"kms:CreateGrant","Resource":"*"'
ok 'a policy that allows it to services of AWS only' allow test "$CREATE"',"Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}}'
refused 'does not allow it to the user directly' AccessDeniedException CreateGrant "$(may_not test CreateGrant)" grant
ok 'a policy without that condition' allow test "$CREATE}"
printf 'hello' >"$DIR/plain"
text kms encrypt --key-id "$KEY" --plaintext "fileb://$DIR/plain" --query CiphertextBlob | base64 -d >"$DIR/blob"
decrypt() { as "$1" aws kms decrypt --ciphertext-blob "fileb://$DIR/blob" --output text --query Plaintext; }
refused 'who has neither policy nor grant cannot decrypt' AccessDeniedException Decrypt "$(may_not reader Decrypt)" decrypt reader
GRANT=$(grant)
like 'lets the user create the grant' "$GRANT" '^[0-9a-f]{64}$'
is 'by which alone the grantee decrypts' "$(decrypt reader | base64 -d)" hello
refused 'and does nothing else' AccessDeniedException DescribeKey "$(may_not reader DescribeKey)" \
	as reader aws kms describe-key --key-id "$KEY"
ok 'a deny in the own policy' allow reader '{"Effect":"Deny","Action":"kms:Decrypt","Resource":"*"}'
refused 'beats the grant' AccessDeniedException Decrypt \
	"User: $READER is not authorized to perform: kms:Decrypt on resource: $KEY with an explicit deny in an identity-based policy" decrypt reader
ok 'when the deny is gone' aws iam delete-user-policy --user-name reader --policy-name own
is 'the grant counts again' "$(decrypt reader | base64 -d)" hello
remake_reader
refused 'a user made anew under the old name has no part in the grant' AccessDeniedException Decrypt "$(may_not reader Decrypt)" decrypt reader

# --- the same for a role's session

ROLE=arn:aws:iam::$ACCOUNT:role/app
aws iam create-role --role-name app --assume-role-policy-document \
	"$(document '{"Effect":"Allow","Principal":{"AWS":"'$USER'"},"Action":"sts:AssumeRole"}')" >/dev/null
as test text sts assume-role --role-arn "$ROLE" --role-session-name job \
	--query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' >"$DIR/session"
refused 'a session without grant cannot decrypt' AccessDeniedException Decrypt \
	"User: arn:aws:sts::$ACCOUNT:assumed-role/app/job is not authorized to perform: kms:Decrypt on resource: $KEY because no identity-based policy allows the kms:Decrypt action" \
	decrypt session
ok 'a grant to its role' as test aws kms create-grant --key-id "$KEY" --grantee-principal "$ROLE" --operations Decrypt \
	--constraints EncryptionContextSubset={vol=v1}
refused 'with a constraint that is not met opens nothing' AccessDeniedException Decrypt \
	"User: arn:aws:sts::$ACCOUNT:assumed-role/app/job is not authorized to perform: kms:Decrypt on resource: $KEY because no identity-based policy allows the kms:Decrypt action" \
	decrypt session
ok 'a grant without constraint' as test aws kms create-grant --key-id "$KEY" --grantee-principal "$ROLE" --operations Decrypt
is 'lets the session decrypt' "$(decrypt session | base64 -d)" hello

# --- the key, disabled and pending deletion, as the user sees it

allow test '{"Effect":"Allow","Action":"kms:*","Resource":"*"}'
is 'with a policy the user decrypts' "$(decrypt test | base64 -d)" hello
ok 'the user disables the key' as test aws kms disable-key --key-id "$KEY"
refused 'a disabled key' DisabledException Decrypt "$KEY is disabled." decrypt test
refused 'who may not is told that first' AccessDeniedException Decrypt "$(may_not reader Decrypt)" decrypt reader
ok 'the user schedules its deletion' as test aws kms schedule-key-deletion --key-id "$KEY" --pending-window-in-days 7
refused 'a key pending deletion' KMSInvalidStateException Decrypt "$KEY is pending deletion." decrypt test
ok 'cancelled' as test aws kms cancel-key-deletion --key-id "$KEY"
ok 'and enabled' as test aws kms enable-key --key-id "$KEY"
is 'it decrypts again' "$(decrypt test | base64 -d)" hello
is 'the event history has each step' "$(text cloudtrail lookup-events --lookup-attributes "AttributeKey=ResourceName,AttributeValue=$KEY" \
	--query 'Events[?Username==`test`&&!contains(CloudTrailEvent,`errorCode`)].EventName' | tr '\t' '\n' | grep Key | tac | tr '\n' ' ')" \
	'DisableKey ScheduleKeyDeletion CancelKeyDeletion EnableKey '

# --- the key policy that shuts its author out

put() { as "$1" aws kms put-key-policy --key-id "$KEY" --policy-name default --policy "$(document "$2")" "${@:3}"; }
ROOT='{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}'
allow reader '{"Effect":"Allow","Action":["kms:PutKeyPolicy","kms:GetKeyPolicy"],"Resource":"*"}'
KEEPER='{"Effect":"Allow","Principal":{"AWS":"'$READER'"},"Action":["kms:PutKeyPolicy"],"Resource":"*"}'
refused 'a policy that shuts its author out' MalformedPolicyDocumentException PutKeyPolicy \
	'The new key policy will not allow you to update the key policy in the future.' put test "$KEEPER"
refused 'a policy that leaves it to IAM, where the author may not' MalformedPolicyDocumentException PutKeyPolicy \
	'The new key policy will not allow you to update the key policy in the future.' \
	put test "$ROOT,"'{"Effect":"Deny","Principal":{"AWS":"'$USER'"},"Action":"kms:PutKeyPolicy","Resource":"*"}'
refused 'a policy that names nobody there is' MalformedPolicyDocumentException PutKeyPolicy \
	'Policy contains a statement with one or more invalid principals.' put test "$ROOT,${KEEPER/user\/reader/user\/nobody}"
is 'with the bypass it is taken' "$(put test "$KEEPER" --bypass-policy-lockout-safety-check 2>&1)" ''
refused 'and its author is out' AccessDeniedException Decrypt \
	"User: $USER is not authorized to perform: kms:Decrypt on resource: $KEY because no resource-based policy allows the kms:Decrypt action" decrypt test
refused 'so is the root user' AccessDeniedException GetKeyPolicy \
	"User: arn:aws:iam::$ACCOUNT:root is not authorized to perform: kms:GetKeyPolicy on resource: $KEY because no resource-based policy allows the kms:GetKeyPolicy action" \
	aws kms get-key-policy --key-id "$KEY" --policy-name default
is 'who kept kms:PutKeyPolicy repairs the key' "$(put reader "$ROOT" 2>&1)" ''
is 'and it serves again' "$(decrypt test | base64 -d)" hello
ok 'a policy that lets the reader in by name' put reader "$ROOT,${KEEPER/kms:PutKeyPolicy\"/kms:PutKeyPolicy\",\"kms:Decrypt\"}" --bypass-policy-lockout-safety-check
is 'lets the reader in' "$(decrypt reader | base64 -d)" hello
remake_reader
refused 'but not another user of that name' AccessDeniedException Decrypt "$(may_not reader Decrypt)" decrypt reader
done_testing
