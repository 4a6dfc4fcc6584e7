#!/bin/bash
# Users, roles and sessions through the real aws command: made, signed in with, refused, found in the event
# history. TAP.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/aws.sh"
need aws jq
export AWS_MAX_ATTEMPTS=1

# gives CLAIM WANT COMMAND...: it succeeds and prints exactly WANT.
gives() {
	local out
	out=$("${@:3}" 2>&1) || { fail "$1" "exit code $?: $out"; return; }
	is "$1" "$out" "$2"
}

ACCOUNT=111122223333
ROOT=arn:aws:iam::$ACCOUNT:root
USER=arn:aws:iam::$ACCOUNT:user/test
ALLOW='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}'
TRUST='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"'$USER'"},"Action":"sts:AssumeRole"}]}'

start_kmsd
gives 'root is known' "$ROOT	$ACCOUNT	$ACCOUNT" text sts get-caller-identity --query '[Arn,Account,UserId]'

# --- users and their keys
like 'create-user gives a unique id' "$(text iam create-user --user-name test --query User.UserId)" '^AIDA[A-Z2-7]{17}$'
ID=$(text iam get-user --user-name test --query User.UserId)
denied 'names are taken whatever their case' EntityAlreadyExists 'User with name TEST already exists.' aws iam create-user --user-name TEST
denied 'get-user of nobody' NoSuchEntity 'The user with name nobody cannot be found.' aws iam get-user --user-name nobody
denied 'a name that cannot be' ValidationError 'failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+' \
	aws iam create-user --user-name 'a b'
text iam create-access-key --user-name test --query 'AccessKey.[AccessKeyId,SecretAccessKey]' >"$DIR/user"
like 'create-access-key gives an AKIA key' "$(cat "$DIR/user")" '^AKIA[A-Z2-7]{16}	.{40}$'
gives 'a user signs in' "$USER	$ACCOUNT	$ID" as user text sts get-caller-identity --query '[Arn,Account,UserId]'
gives 'list-access-keys' 1 text iam list-access-keys --user-name test --query 'length(AccessKeyMetadata)'
ok 'a second key' aws iam create-access-key --user-name test
denied 'a third key' LimitExceeded 'Cannot exceed quota for AccessKeysPerUser: 2' aws iam create-access-key --user-name test
KEY=$(cut -f1 "$DIR/user")
ok 'a key is made inactive' aws iam update-access-key --user-name test --access-key-id "$KEY" --status Inactive
denied 'which is seen at once, by IAM' InvalidClientTokenId 'The security token included in the request is invalid.' as user aws sts get-caller-identity
denied 'and by KMS' UnrecognizedClientException 'The security token included in the request is invalid.' as user aws kms list-keys
ok 'a key is made active' aws iam update-access-key --user-name test --access-key-id "$KEY" --status Active
denied 'a user without permission is refused by KMS' AccessDeniedException \
	"User: $USER is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action" as user aws kms create-key
denied 'and by IAM' AccessDenied "User: $USER is not authorized to perform: iam:CreateUser on resource: arn:aws:iam::$ACCOUNT:user/x because" \
	as user aws iam create-user --user-name x
denied 'a wrong secret' SignatureDoesNotMatch 'The request signature we calculated does not match' \
	env AWS_SECRET_ACCESS_KEY=x aws --endpoint-url "$AWS_ENDPOINT_URL" iam list-users

# --- policies
ok 'put-user-policy' aws iam put-user-policy --user-name test --policy-name 'p1' --policy-document "$ALLOW"
like 'which is in force at once' "$(as user text kms create-key --query KeyMetadata.Arn)" '^arn:aws:kms:'
gives 'get-user-policy gives it back' 'kms:*' text iam get-user-policy --user-name test --policy-name p1 --query 'PolicyDocument.Statement[0].Action'
denied 'a policy that is not JSON' MalformedPolicyDocument 'Syntax errors in policy.' aws iam put-user-policy --user-name test --policy-name p2 --policy-document '{"V'
denied 'no such inline policy' NoSuchEntity 'The user policy with name p2 cannot be found.' aws iam get-user-policy --user-name test --policy-name p2
POLICY=$(text iam create-policy --policy-name managed --path /team/ --policy-document "$ALLOW" --description 'a <b> & "c"' --query Policy.Arn)
is 'create-policy' "$POLICY" "arn:aws:iam::$ACCOUNT:policy/team/managed"
gives 'XML is escaped' 'a <b> & "c"' text iam get-policy --policy-arn "$POLICY" --query Policy.Description
gives 'get-policy-version' 'kms:*' text iam get-policy-version --policy-arn "$POLICY" --version-id v1 --query 'PolicyVersion.Document.Statement[0].Action'
is 'a second version' "$(text iam create-policy-version --policy-arn "$POLICY" --policy-document "${ALLOW//kms:\*/kms:List*}" --query 'PolicyVersion.[VersionId,IsDefaultVersion]')" 'v2	False'
gives 'is listed, newest first' 'v2	v1' text iam list-policy-versions --policy-arn "$POLICY" --query 'Versions[].VersionId'
gives 'the first is in force still' v1 text iam get-policy --policy-arn "$POLICY" --query Policy.DefaultVersionId
denied 'no such version' NoSuchEntity 'version v3 does not exist or is not attachable.' aws iam set-default-policy-version --policy-arn "$POLICY" --version-id v3
ok 'set-default-policy-version' aws iam set-default-policy-version --policy-arn "$POLICY" --version-id v2
gives 'it is the default now' 'v2	kms:List*' text iam get-policy-version --policy-arn "$POLICY" --version-id v2 --query 'PolicyVersion.[VersionId,Document.Statement[0].Action]'
denied 'the default version stays' DeleteConflict 'Cannot delete the default version of a policy.' aws iam delete-policy-version --policy-arn "$POLICY" --version-id v2
denied 'a policy with two versions too' DeleteConflict 'This policy has more than one version.' aws iam delete-policy --policy-arn "$POLICY"
ok 'delete-policy-version' aws iam delete-policy-version --policy-arn "$POLICY" --version-id v1
is 'a new version as the default; numbers are not given again' \
	"$(text iam create-policy-version --policy-arn "$POLICY" --policy-document "$ALLOW" --set-as-default --query 'PolicyVersion.[VersionId,IsDefaultVersion]')" 'v3	True'
denied 'an operation of IAM that is not there' InvalidAction 'Could not find operation CreateGroup for version 2010-05-08' aws iam create-group --group-name g
ok 'attach-user-policy' aws iam attach-user-policy --user-name test --policy-arn "$POLICY"
denied 'attach what is not there' NoSuchEntity 'does not exist or is not attachable.' \
	aws iam attach-user-policy --user-name test --policy-arn "arn:aws:iam::$ACCOUNT:policy/none"
gives 'list-attached-user-policies' "managed	$POLICY" text iam list-attached-user-policies --user-name test --query 'AttachedPolicies[].[PolicyName,PolicyArn]'
denied 'an attached policy stays' DeleteConflict 'Cannot delete a policy attached to entities.' aws iam delete-policy --policy-arn "$POLICY"
denied 'a boundary must be there' NoSuchEntity 'does not exist or is not attachable.' \
	aws iam put-user-permissions-boundary --user-name test --permissions-boundary "arn:aws:iam::$ACCOUNT:policy/none"
ok 'put-user-permissions-boundary' aws iam put-user-permissions-boundary --user-name test --permissions-boundary "$POLICY"
gives 'get-user shows it' "$POLICY" text iam get-user --user-name test --query User.PermissionsBoundary.PermissionsBoundaryArn
denied 'a user with policies stays' DeleteConflict 'Cannot delete entity, must delete policies first.' aws iam delete-user --user-name test

# --- roles and sessions
like 'create-role gives a unique id' "$(text iam create-role --role-name r --assume-role-policy-document "$TRUST" --query Role.RoleId)" '^AROA[A-Z2-7]{17}$'
denied 'a trust policy names whom there is not' MalformedPolicyDocument "Invalid principal in policy: \"AWS\":\"arn:aws:iam::$ACCOUNT:user/none\"" \
	aws iam create-role --role-name r2 --assume-role-policy-document "${TRUST//test/none}"
denied 'the root user assumes no role' AccessDenied 'Roles may not be assumed by root accounts.' \
	aws sts assume-role --role-arn "arn:aws:iam::$ACCOUNT:role/r" --role-session-name s1
denied 'a role that is not there' AccessDenied "User: $USER is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::$ACCOUNT:role/x" \
	as user aws sts assume-role --role-arn "arn:aws:iam::$ACCOUNT:role/x" --role-session-name s1
denied 'two hours of a role that gives one' ValidationError 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.' \
	as user aws sts assume-role --role-arn "arn:aws:iam::$ACCOUNT:role/r" --role-session-name s1 --duration-seconds 7200
as user text sts assume-role --role-arn "arn:aws:iam::$ACCOUNT:role/r" --role-session-name s1 \
	--query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' >"$DIR/session"
like 'assume-role gives an ASIA key and a token' "$(cat "$DIR/session")" '^ASIA[A-Z2-7]{16}	.{40}	.{200,}$'
gives 'a session signs in' "arn:aws:sts::$ACCOUNT:assumed-role/r/s1" as session text sts get-caller-identity --query Arn
sed 's/.$/A/; s/....\(....\)$/\1AAAA/' "$DIR/session" >"$DIR/bent"
denied 'a bent token' InvalidClientTokenId 'The security token included in the request is invalid.' as bent aws sts get-caller-identity
cut -f1,2 "$DIR/session" >"$DIR/bare"
denied 'no token' UnrecognizedClientException 'The security token included in the request is invalid.' as bare aws kms list-keys
as user text sts get-session-token --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' >"$DIR/temporary"
gives 'get-session-token is still the user' "$USER" as temporary text sts get-caller-identity --query Arn
denied 'no session token from one' AccessDenied 'Cannot call GetSessionToken with session credentials' as temporary aws sts get-session-token
denied 'a session without permission' AccessDeniedException "User: arn:aws:sts::$ACCOUNT:assumed-role/r/s1 is not authorized to perform: kms:CreateKey" \
	as session aws kms create-key

ok 'put-role-policy' aws iam put-role-policy --role-name r --policy-name p --policy-document "$ALLOW"
ok 'which the session has at once' as session aws kms create-key
as user text sts assume-role --role-arn "arn:aws:iam::$ACCOUNT:role/r" --role-session-name s2 --policy "${ALLOW//kms:\*/kms:List*}" \
	--query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' >"$DIR/limited"
denied 'a session policy limits it' AccessDeniedException 'because no session policy allows the kms:CreateKey action' as limited aws kms create-key
ok 'to what it allows' as limited aws kms list-keys

# --- the server is killed and started again
kill -KILL "$KMSD_PID"
wait "$KMSD_PID" 2>/dev/null
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
start_kmsd
gives 'users outlive a kill' "$USER" as user text sts get-caller-identity --query Arn
gives 'and so do sessions' "arn:aws:sts::$ACCOUNT:assumed-role/r/s1" as session text sts get-caller-identity --query Arn

# --- the event history
as user aws iam delete-role --role-name r >"$DIR/.out" 2>&1
EVENT=$(aws cloudtrail lookup-events --max-results 1 --lookup-attributes AttributeKey=EventName,AttributeValue=DeleteRole)
is 'a refused request is in the history, under its user' "$(jq -r '.Events[0] | .Username + " " + .EventSource' <<<"$EVENT")" 'test iam.amazonaws.com'
is 'with the code and sentence of the refusal' "$(jq -r '.Events[0].CloudTrailEvent | fromjson | .errorCode + ": " + .errorMessage' <<<"$EVENT")" \
	"AccessDenied: User: $USER is not authorized to perform: iam:DeleteRole on resource: arn:aws:iam::$ACCOUNT:role/r because no identity-based policy allows the iam:DeleteRole action"
is 'and who it was' "$(jq -c '.Events[0].CloudTrailEvent | fromjson | .userIdentity | [.type,.principalId,.arn,.userName]' <<<"$EVENT")" \
	"[\"IAMUser\",\"$ID\",\"$USER\",\"test\"]"
gives 'by user name: a session is known by its name' CreateKey text cloudtrail lookup-events \
	--lookup-attributes AttributeKey=Username,AttributeValue=s2 --query "Events[?EventSource=='kms.amazonaws.com'].EventName | [1]"
gives 'the issuer of a session' "[\"AssumedRole\",\"arn:aws:iam::$ACCOUNT:role/r\"]" bash -c 'command aws --endpoint-url "$0" cloudtrail lookup-events \
	--lookup-attributes AttributeKey=Username,AttributeValue=s1 --output json | jq -c ".Events[0].CloudTrailEvent | fromjson | .userIdentity | [.type,.sessionContext.sessionIssuer.arn]"' "$AWS_ENDPOINT_URL"
gives 'by resource' CreateRole text cloudtrail lookup-events --lookup-attributes AttributeKey=ResourceType,AttributeValue=AWS::IAM::Role \
	--query "Events[?EventName=='CreateRole'].EventName | [0]"
gives 'newest first' true aws cloudtrail lookup-events --query 'sort_by(Events,&EventTime)[-1].EventTime == Events[0].EventTime'
END=$(($(date +%s) - 1)) # what comes now is not in the question
all=$(aws cloudtrail lookup-events --end-time "$END" --page-size 50 --query 'length(Events)')
gives 'pages give all of it, once' "$all" bash -c 'command aws --endpoint-url "$0" cloudtrail lookup-events --end-time "$1" --page-size 7 --output json |
	jq "[.Events[].EventId] | unique | length"' "$AWS_ENDPOINT_URL" "$END"
denied 'an end before the start' InvalidTimeRangeException '' aws cloudtrail lookup-events --start-time 2026-01-02 --end-time 2026-01-01
denied 'a token of another question' InvalidNextTokenException '' aws cloudtrail lookup-events --next-token MQ== --no-paginate
if grep -qF -e "$(cut -f2 "$DIR/user")" -e "$(cut -f3 "$DIR/session")" -e "$(cut -f2 "$DIR/session")" "$KMSD_DIR/audit.jsonl"; then
	fail 'no secret and no token is in the audit trail'
else
	pass 'no secret and no token is in the audit trail'
fi

# --- an id never comes back
ok 'the role policy goes' aws iam delete-role-policy --role-name r --policy-name p
ok 'the policies go' aws iam delete-user-policy --user-name test --policy-name p1
ok 'all of them' aws iam detach-user-policy --user-name test --policy-arn "$POLICY"
for k in $(text iam list-access-keys --user-name test --query 'AccessKeyMetadata[].AccessKeyId'); do
	ok 'the keys go' aws iam delete-access-key --user-name test --access-key-id "$k"
done
ok 'delete-user' aws iam delete-user --user-name test
ok 'made again' aws iam create-user --user-name test
denied 'the old session of the old user is dead' InvalidClientTokenId 'The security token' as temporary aws sts get-caller-identity
ok 'delete-role' aws iam delete-role --role-name r
ok 'made again' aws iam create-role --role-name r --assume-role-policy-document "$TRUST"
denied 'the old session of the old role is dead' InvalidClientTokenId 'The security token' as session aws sts get-caller-identity
done_testing
