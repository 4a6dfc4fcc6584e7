#!/bin/bash
# EBS's and RDS's calls to KMS, as kmsvol makes them to kmsd: the instance that does not start, its cure by the
# article's policy, detach and attach, a grant that is revoked or left behind, keys that AWS manages, a deny
# that must exempt the account's resources.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/aws.sh"
need aws jq
need_fuse
export AWS_MAX_ATTEMPTS=1

ACCOUNT=111122223333
USER=arn:aws:iam::$ACCOUNT:user/test
NOT_STARTED='Client.InternalError: Client error on launch: Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state: '
expect_stderr '.' # of the daemon, which loses keys here
document() { printf '{"Version":"2012-10-17","Statement":[%s]}' "$1"; }

allow() { # USER STATEMENT
	aws iam put-user-policy --user-name "$1" --policy-name own --policy-document "$(document "$2")"
}

grantees() { # KEY
	text kms list-grants --key-id "$1" --query 'Grants[].GranteePrincipal'
}

# calls N: the last N calls of KMS, who made them and what came of it; checks that repeat are one.
calls() {
	jq -r 'select(.eventSource == "kms.amazonaws.com" and .eventName != "ListGrants") |
		[.eventName, .userIdentity.type, .userIdentity.invokedBy // "-", .errorCode // "-"] | join(" ")' \
		"$KMSD_DIR/audit.jsonl" | uniq | tail -n "$1" | paste -sd ,
}

# The first line of what COMMAND says on stderr, and its exit code.
said() {
	"$@" >/dev/null 2>"$DIR/.said"
	echo "$? $(cat "$DIR/.said")"
}

lost() { "$KMSVOL" status "$1" --json | jq -re 'select(.state | startswith("inaccessible")) | .state'; }
checks() { "$KMSVOL" status "$1" --json | jq .kms_calls; }
checked_again() { [ "$(checks "$1")" -gt "$2" ]; }

start_kmsd
make_key alias/demo
KEY=$KEY_ARN
aws iam create-user --user-name test >/dev/null
text iam create-access-key --user-name test --query 'AccessKey.[AccessKeyId,SecretAccessKey]' >"$DIR/test"
may_not() { # OPERATION
	echo "User: $USER is not authorized to perform: kms:$1 on resource: $KEY because no identity-based policy allows the kms:$1 action"
}

# --- a volume is made

make_volume V
is 'a volume is made as EBS makes it' "$(calls 4)" \
	'GenerateDataKeyWithoutPlaintext Root ec2-frontend-api.amazonaws.com -,CreateGrant Root ec2-frontend-api.amazonaws.com -,Decrypt AWSService ebs.amazonaws.com -,RetireGrant AWSService AWS Internal -'
is 'a detached volume has no grant' "$(grantees "$KEY")" ''
VOL=$(jq -r .id V/volume.json)
mkdir D
later release D

# --- the instance that does not start

is 'a user who may not create grants cannot attach it' "$(said as test "$KMSVOL" mount V D)" \
	"3 kmsvol: volume '$DIR/V': ${NOT_STARTED}cannot unwrap data key: KMS refused CreateGrant with key $KEY: AccessDeniedException: $(may_not CreateGrant)"
is 'events.jsonl has it as EventBridge would deliver it' \
	"$(jq -c 'select(.event == "attach-failed") | .notification | [.source, ."detail-type", .resources, .detail]' V/events.jsonl)" \
	'["aws.ec2","EBS Volume Notification",["arn:aws:ec2:us-east-1:'$ACCOUNT':volume/'$VOL'","'$KEY'"],{"event":"attachVolume","result":"failed","cause":"'"$(may_not CreateGrant)"'","request-id":""}]'
EVENT=$(text cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateGrant \
	--query 'Events[0].CloudTrailEvent')
is 'the event history shows whose call was refused, and through whom' \
	"$(jq -r '[.errorCode, .userIdentity.userName, .userIdentity.invokedBy, .sourceIPAddress] | join(" ")' <<<"$EVENT")" \
	'AccessDenied test ec2-frontend-api.amazonaws.com ec2-frontend-api.amazonaws.com'
is 'and why' "$(jq -r .errorMessage <<<"$EVENT")" "$(may_not CreateGrant)"
allow test '{"Effect":"Allow","Action":["kms:CreateGrant"],"Resource":["'"$KEY"'"],"Condition":{"Bool":{"kms:GrantIsForAWSResource":true}}}'
direct() {
	as test aws kms create-grant --key-id "$KEY" --grantee-principal "$USER" --operations Decrypt
}
like "with the article's policy the user still makes no grant of its own" "$(direct 2>&1)" 'AccessDeniedException.*kms:CreateGrant'
ok 'but attaches the volume' as test "$KMSVOL" mount V D --check-interval 200ms --on-key-loss error
is 'as EBS does' "$(calls 2)" 'CreateGrant IAMUser ec2-frontend-api.amazonaws.com -,Decrypt AssumedRole AWS Internal -'
INSTANCE=$(grantees "$KEY")
like 'the grant is for the instance' "$INSTANCE" "^arn:aws:sts::$ACCOUNT:assumed-role/aws:ec2-infrastructure/i-[0-9a-f]{17}$"
is 'bound to the volume, and for the service to retire' \
	"$(aws kms list-grants --key-id "$KEY" --query 'Grants[0]' | jq -c '[.Operations, .Constraints, .RetiringPrincipal]')" \
	'[["Decrypt"],{"EncryptionContextSubset":{"aws:ebs:id":"'"$VOL"'"}},"ec2.us-east-1.amazonaws.com"]'
aws iam delete-user-policy --user-name test --policy-name own
aws iam delete-access-key --user-name test --access-key-id "$(cut -f1 "$DIR/test")"
N=$(checks V)
ok 'the volume does not need the user any more' wait_for 20 checked_again V $((N + 2))
is 'it is available' "$("$KMSVOL" status V --json | jq -r .state)" available

# --- the grant is revoked while it is attached

aws kms revoke-grant --key-id "$KEY" --grant-id "$(text kms list-grants --key-id "$KEY" --query 'Grants[0].GrantId')"
ok 'without its grant the volume is lost' wait_for 20 lost V
is 'because the instance may not decrypt' "$("$KMSVOL" status V --json | jq -r '.kms_error.message | sub(".*AccessDeniedException: "; "")')" \
	"User: $INSTANCE is not authorized to perform: kms:Decrypt on resource: $KEY because no identity-based policy allows the kms:Decrypt action"
ok 'the grant is made again by hand' aws kms create-grant --key-id "$KEY" --grantee-principal "$INSTANCE" --operations Decrypt \
	--constraints "EncryptionContextSubset={aws:ebs:id=$VOL}"
ok 'and the volume is back' wait_for 20 state_is V available
ok 'unmount' "$KMSVOL" unmount D
aws kms revoke-grant --key-id "$KEY" --grant-id "$(text kms list-grants --key-id "$KEY" --query 'Grants[0].GrantId')"

# --- a daemon is killed

ok 'attach' "$KMSVOL" mount V D
kill -KILL "$("$KMSVOL" status V --json | jq .pid)"
release D
is 'a killed daemon leaves its grant' "$(grantees "$KEY")" "$INSTANCE"
ok 'attach again' "$KMSVOL" mount V D
is 'retires it and makes one' "$(calls 3)" \
	'RetireGrant AWSService AWS Internal -,CreateGrant Root ec2-frontend-api.amazonaws.com -,Decrypt AssumedRole AWS Internal -'
is 'so there is one' "$(grantees "$KEY")" "$INSTANCE"
ok 'detach' "$KMSVOL" unmount D
is 'retires that' "$(calls 1) $(grantees "$KEY")" 'RetireGrant AWSService AWS Internal - '
not_ok 'and forgets it' test -e V/grant.json

# --- a deny that spares the user only

put() {
	aws kms put-key-policy --key-id "$KEY" --policy "$(document '{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::'$ACCOUNT':root"},"Action":"kms:*","Resource":"*"}'"$1")"
}
SPARE='"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::'$ACCOUNT':root"}'
DENY=',{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{'
put "$DENY$SPARE}}"
is 'a deny that spares only the one who attaches stops the service' "$(said "$KMSVOL" mount V D)" \
	"3 kmsvol: volume '$DIR/V': ${NOT_STARTED}cannot unwrap data key: KMS refused Decrypt with key $KEY: AccessDeniedException: User: $INSTANCE is not authorized to perform: kms:Decrypt on resource: $KEY with an explicit deny in a resource-based policy"
is 'and nothing stays attached' "$(grantees "$KEY")" ''
put "$DENY$SPARE"',"StringNotEquals":{"kms:CallerAccount":"'$ACCOUNT'"}}}'
ok 'one that spares the account that owns the volume does not' "$KMSVOL" mount V D
ok 'unmount it' "$KMSVOL" unmount D
put ''
aws kms disable-key --key-id "$KEY"
is 'a disabled key' "$(said "$KMSVOL" mount V D)" \
	"3 kmsvol: volume '$DIR/V': ${NOT_STARTED}cannot unwrap data key: KMS refused CreateGrant with key $KEY: DisabledException: $KEY is disabled."
is 'its cause, as EBS tells it' "$(jq -r 'select(.event == "attach-failed") | .notification.detail.cause' V/events.jsonl | tail -n 1)" "$KEY is disabled."
aws kms enable-key --key-id "$KEY"

# --- keys that AWS manages

make_volume E --key-id alias/aws/ebs
EBS=$(jq -r .key_arn E/volume.json)
is 'the key of alias/aws/ebs is AWS managed' "$(text kms describe-key --key-id alias/aws/ebs --query 'KeyMetadata.[KeyManager,Arn]')" "AWS	$EBS"
ok 'its volume is attached' "$KMSVOL" mount E D
ok 'and detached' "$KMSVOL" unmount D
refused 3 "kms:Decrypt on resource: $EBS because no resource-based policy allows the kms:Decrypt action" "$KMSVOL" mount E D --plain-calls
like 'nobody disables it' "$(aws kms disable-key --key-id "$EBS" 2>&1)" \
	'\(AccessDeniedException\).*DisableKey operation: User: .* because no resource-based policy allows the kms:DisableKey action$'

# --- what is made of such a volume: nobody may use its key but EBS for him

ok 'a snapshot' "$KMSVOL" snapshot create E ES
ok 'a second one, compared' sh -c '"$1" snapshot create E ES2 >/dev/null && "$1" diff ES ES2' - "$KMSVOL"
ok 'a volume of it, under the same key' "$KMSVOL" restore ES E2
ok 'a volume of it, under another' "$KMSVOL" restore ES E3 --key-id "$KEY"
ok 'its key wrapped anew' "$KMSVOL" rotate E --rewrap
ok 'and that of what was restored' "$KMSVOL" rotate E2 --rewrap
ok 'which then gets a new one' "$KMSVOL" rotate E2 --new-data-key
ok 'it is whole' "$KMSVOL" check E2
ok 'a snapshot is read, by who soon has enough' sh -c '"$1" export ES - | head -c 2 >OUT' - "$KMSVOL"
is 'no grant of all that is left' "$(grantees "$EBS")" ''

# --- a database's volume

make_volume R --key-id alias/aws/rds --as rds
RDS=$(jq -r .key_arn R/volume.json)
like 'its context names the database' "$(jq -r '.encryption_context["aws:rds:db-id"]' R/volume.json)" '^db-[0-9A-F]{17}$'
is 'its grant is for life' "$(grantees "$RDS")" rds.us-east-1.amazonaws.com
ok 'attach it' "$KMSVOL" mount R D
is 'by that grant alone' "$(calls 1)" 'Decrypt AWSService rds.amazonaws.com -'
ok 'detach it' "$KMSVOL" unmount D
is 'the grant stays' "$(grantees "$RDS")" rds.us-east-1.amazonaws.com
ok 'it gets a new data key' "$KMSVOL" rotate R --new-data-key
is 'and no second grant' "$(grantees "$RDS")" rds.us-east-1.amazonaws.com
aws kms revoke-grant --key-id "$RDS" --grant-id "$(text kms list-grants --key-id "$RDS" --query 'Grants[0].GrantId')"
# The key's own policy lets the service in without a grant, so another key shows what revoking does.
make_volume S --as rds
aws kms revoke-grant --key-id "$KEY" --grant-id "$(text kms list-grants --key-id "$KEY" --query 'Grants[0].GrantId')"
ok 'without it, who may create grants starts it' "$KMSVOL" mount S D
is 'with another one' "$(grantees "$KEY") $(calls 3)" \
	'rds.us-east-1.amazonaws.com Decrypt AWSService rds.amazonaws.com AccessDenied,CreateGrant Root rds.amazonaws.com -,Decrypt AWSService rds.amazonaws.com -'
ok 'stop it' "$KMSVOL" unmount D
aws kms disable-key --key-id "$KEY"
refused 3 "KMSKeyNotAccessibleFault: An error occurred accessing an Amazon Web Services KMS key: .*$KEY is disabled\\.$" "$KMSVOL" mount S D
aws kms enable-key --key-id "$KEY"

# --- as AWS is asked

ok 'plain calls when asked for' "$KMSVOL" mount V D --plain-calls
is 'are one Decrypt by the user' "$(calls 1)" 'Decrypt Root - -'
ok 'unmount that' "$KMSVOL" unmount D
chmod 644 "$KMSD_DIR/service-credentials"
ok 'a credential that others can read is not used' "$KMSVOL" mount V D
is 'plain calls without one' "$(calls 1)" 'Decrypt Root - -'
ok 'unmount that too' "$KMSVOL" unmount D
done_testing
