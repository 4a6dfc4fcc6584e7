#!/bin/bash
# Users and roles are bound by their unique ids: one made again under an old name is another, in key policies, in
# trust policies and in grants, and the old one is shown by its id. TAP.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/aws.sh"
need aws jq
export AWS_MAX_ATTEMPTS=1

A=111122223333
statement() { printf '{"Sid":"%s","Effect":"Allow","Principal":{"AWS":"%s"},"Action":"%s","Resource":"*"}' "$@"; }
document() { local IFS=,; printf '{"Version":"2012-10-17","Statement":[%s]}' "$*"; }

start_kmsd
make_key
USER_ID=$(text iam create-user --user-name ann --query User.UserId)
text iam create-access-key --user-name ann --query 'AccessKey.[AccessKeyId,SecretAccessKey]' >"$DIR/ann"
TRUST='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::'$A':user/ann"},"Action":"sts:AssumeRole"}]}'
ROLE_ID=$(text iam create-role --role-name reader --assume-role-policy-document "$TRUST" --query Role.RoleId)
assume() { as "$1" text sts assume-role --role-arn "arn:aws:iam::$A:role/reader" --role-session-name s1 --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]'; }
POLICY=$(document "$(statement root "$A" 'kms:*')" "$(statement role "arn:aws:iam::$A:role/reader" kms:DescribeKey)")
ok 'a key policy that names the role' aws kms put-key-policy --key-id "$KEY_ARN" --policy "$POLICY"
ok 'a grant to one of its sessions' aws kms create-grant --key-id "$KEY_ARN" \
	--grantee-principal "arn:aws:sts::$A:assumed-role/reader/s1" --operations Encrypt
assume ann >"$DIR/session"
ok 'the session may what the policy says' as session aws kms describe-key --key-id "$KEY_ARN"
ok 'and what the grant says' as session aws kms encrypt --key-id "$KEY_ARN" --plaintext aGk=
is 'the policy is shown as it was put' "$(text kms get-key-policy --key-id "$KEY_ARN" --query Policy)" "$POLICY"

# --- the role is made again
aws iam delete-role --role-name reader
is 'the key policy shows the id of who is gone' \
	"$(text kms get-key-policy --key-id "$KEY_ARN" --query Policy | jq -r '.Statement[1].Principal.AWS')" "$ROLE_ID"
is 'so does the grant' "$(text kms list-grants --key-id "$KEY_ARN" --query 'Grants[0].GranteePrincipal')" "$ROLE_ID:s1"
denied 'and such a policy cannot be put again' MalformedPolicyDocumentException 'Policy contains a statement with one or more invalid principals.' \
	aws kms put-key-policy --key-id "$KEY_ARN" --policy "$(text kms get-key-policy --key-id "$KEY_ARN" --query Policy)"
ok 'made again' aws iam create-role --role-name reader --assume-role-policy-document "$TRUST"
assume ann >"$DIR/session"
denied 'the key policy does not know the new role' AccessDeniedException 'because no identity-based policy allows' as session aws kms describe-key --key-id "$KEY_ARN"
denied 'nor does the grant' AccessDeniedException 'because no identity-based policy allows' as session aws kms encrypt --key-id "$KEY_ARN" --plaintext aGk=
is 'the key policy still shows the old id' \
	"$(text kms get-key-policy --key-id "$KEY_ARN" --query Policy | jq -r '.Statement[1].Principal.AWS')" "$ROLE_ID"

# --- the user that the role trusts is made again
aws iam delete-access-key --user-name ann --access-key-id "$(cut -f1 "$DIR/ann")"
aws iam delete-user --user-name ann
aws iam create-user --user-name ann >/dev/null
text iam create-access-key --user-name ann --query 'AccessKey.[AccessKeyId,SecretAccessKey]' >"$DIR/ann"
denied 'the trust policy does not know the new user' AccessDenied "User: arn:aws:iam::$A:user/ann is not authorized to perform: sts:AssumeRole" assume ann
is 'get-role shows the old id' "$(text iam get-role --role-name reader --query 'Role.AssumeRolePolicyDocument.Statement[0].Principal.AWS')" "$USER_ID"
ok 'the trust policy put again' aws iam update-assume-role-policy --role-name reader --policy-document "$TRUST"
ok 'knows it' assume ann
kill -KILL "$KMSD_PID"
wait "$KMSD_PID" 2>/dev/null
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
start_kmsd
ok 'after a kill too' assume ann
done_testing
