#!/bin/bash
# Grants, rotation, tags, descriptions and last use through the real aws command, so that AWS's own code reads
# the replies. Operations and parameters that an old aws command (Debian 12's) does not know go by curl.
. "$(dirname "$0")/../lib/case.sh"
need aws jq curl

start_kmsd --rotation-delay 1
make_key alias/demo
ID=${KEY_ARN##*/}
ROOT=arn:aws:iam::111122223333:root
ROLE=arn:aws:iam::111122223333:role/app
aws iam create-role --role-name app --assume-role-policy-document \
	'{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}' >/dev/null

# text CMD...: of aws kms, its output as text.
text() {
	aws kms "$@" --output text
}

# refuses CLAIM TYPE TEXT CMD...: aws kms CMD ends with that exception, whose text ends with TEXT.
refuses() {
	local out
	out=$(aws kms "${@:4}" 2>&1) && { fail "$1" "it was not refused: $out"; return; }
	case $out in
	*"An error occurred ($2) when calling "*"$3") pass "$1" ;;
	*) fail "$1" "got:    $out" "wanted: ($2) ... $3" ;;
	esac
}

# --- grants

read -r GRANT TOKEN < <(text create-grant --key-id "$ID" --grantee-principal "$ROLE" --retiring-principal "$ROOT" \
	--operations Decrypt DescribeKey --constraints EncryptionContextSubset={vol=v1} --name one \
	--query '[GrantId,GrantToken]')
like 'create-grant: an id of 64 hex digits' "$GRANT" '^[0-9a-f]{64}$'
read -r AGAIN TOKEN2 < <(text create-grant --key-id "$KEY_ARN" --grantee-principal "$ROLE" --retiring-principal "$ROOT" \
	--operations Decrypt DescribeKey --constraints EncryptionContextSubset={vol=v1} --name one \
	--query '[GrantId,GrantToken]')
is 'create-grant again with its name: the same grant' "$AGAIN" "$GRANT"
not_ok 'and a fresh token' test "$TOKEN" = "$TOKEN2"
is 'list-grants' "$(text list-grants --key-id "$ID" --query \
	'Grants[].[KeyId,GrantId,Name,GranteePrincipal,RetiringPrincipal,IssuingAccount,Operations[0],Constraints.EncryptionContextSubset.vol]')" \
	"$(printf '%s\t' "$KEY_ARN" "$GRANT" one "$ROLE" "$ROOT" "$ROOT" Decrypt)v1"
ok 'create-grant with the token of another' aws kms create-grant --key-id "$ID" --grantee-principal "$ROOT" \
	--operations Encrypt RetireGrant --grant-tokens "$TOKEN"
is 'list-grants of a grantee' "$(text list-grants --key-id "$ID" --grantee-principal "$ROOT" --query 'Grants[].Operations[]')" \
	$'Encrypt\tRetireGrant'
is 'list-grants pages, joined by the command' \
	"$(text list-grants --key-id "$ID" --page-size 1 --query 'length(Grants)')" "$(printf '1\n1')"
is 'list-retirable-grants' "$(text list-retirable-grants --retiring-principal "$ROOT" --query 'Grants[].GrantId')" "$GRANT"
ok 'describe-key takes grant tokens' aws kms describe-key --key-id alias/demo --grant-tokens "$TOKEN" "$TOKEN2"
refuses 'a token that is none' InvalidGrantTokenException '' describe-key --key-id "$ID" --grant-tokens x
refuses 'operations of another key type' ValidationException 'Operations [Sign] are not supported when creating a grant for a symmetric KMS key with key usage ENCRYPT_DECRYPT. Valid operations are [Decrypt, Encrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext, ReEncryptFrom, ReEncryptTo, CreateGrant, RetireGrant, DescribeKey, GenerateDataKeyPair, GenerateDataKeyPairWithoutPlaintext]' \
	create-grant --key-id "$ID" --grantee-principal "$ROLE" --operations Sign
refuses 'two constraints' ValidationException 'More than one constraint supplied' create-grant --key-id "$ID" \
	--grantee-principal "$ROLE" --operations Decrypt \
	--constraints 'EncryptionContextSubset={a=b},EncryptionContextEquals={a=b}'
refuses 'a grantee that is no principal' InvalidArnException 'ARN is not valid: arn:aws:s3:::x' create-grant --key-id "$ID" \
	--grantee-principal arn:aws:s3:::x --operations Decrypt
refuses 'a grantee that does not exist' InvalidArnException "ARN does not refer to a valid principal: ${ROLE}s" create-grant --key-id "$ID" \
	--grantee-principal "${ROLE}s" --operations Decrypt
refuses 'create-grant by alias' NotFoundException "Invalid keyId 'alias/demo'" create-grant --key-id alias/demo \
	--grantee-principal "$ROLE" --operations Decrypt
like 'dry run of create-grant' "$(post CreateGrant '{"KeyId":"'"$ID"'","GranteePrincipal":"'"$ROLE"'","Operations":["Decrypt"],"DryRun":true}')" \
	'"__type":"DryRunOperationException","message":"The request would have succeeded, but the DryRun option is set."'
like 'dry run of revoke-grant' "$(post RevokeGrant '{"KeyId":"'"$ID"'","GrantId":"'"$GRANT"'","DryRun":true}')" DryRunOperationException
is 'retire-grant prints nothing' "$(aws kms retire-grant --grant-token "$TOKEN2" 2>&1)" ''
refuses 'revoke-grant of a grant that is gone' NotFoundException "Grant ID $GRANT not found" \
	revoke-grant --key-id "$ID" --grant-id "$GRANT"
OTHER=$(text list-grants --key-id "$ID" --query 'Grants[].GrantId')
is 'revoke-grant prints nothing' "$(aws kms revoke-grant --key-id "$ID" --grant-id "$OTHER" 2>&1)" ''
is 'no grant is left' "$(text list-grants --key-id "$ID" --query 'length(Grants)')" 0

# --- rotation

printf 'before' >plain
text encrypt --key-id "$ID" --plaintext fileb://plain --query CiphertextBlob | base64 -d >blob
is 'enable-key-rotation prints nothing' "$(aws kms enable-key-rotation --key-id "$ID" 2>&1)" ''
is 'get-key-rotation-status: on' "$(text get-key-rotation-status --key-id "$ID" --query KeyRotationEnabled)" True
is 'disable-key-rotation prints nothing' "$(aws kms disable-key-rotation --key-id "$ID" 2>&1)" ''
is 'get-key-rotation-status: off' "$(text get-key-rotation-status --key-id "$ID" --query KeyRotationEnabled)" False
refuses 'enable-key-rotation by alias' NotFoundException "Invalid keyId 'alias/demo'" enable-key-rotation --key-id alias/demo
is 'a period of 90 days' "$(post EnableKeyRotation '{"KeyId":"'"$ID"'","RotationPeriodInDays":90}'
	post GetKeyRotationStatus '{"KeyId":"'"$ID"'"}' | jq -r .RotationPeriodInDays)" 90
is 'rotate-key-on-demand' "$(post RotateKeyOnDemand '{"KeyId":"'"$ID"'"}')" "{\"KeyId\":\"$KEY_ARN\"}"
rotated() {
	[ "$(post ListKeyRotations '{"KeyId":"'"$ID"'"}' | jq -r '.Rotations[].RotationType')" = ON_DEMAND ]
}
ok 'the rotation on demand comes about' wait_for 15 rotated
is 'list-key-rotations: all material' "$(post ListKeyRotations '{"KeyId":"'"$ID"'","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}' |
	jq -r '[.Rotations[].KeyMaterialState] | join(" ")')" 'NON_CURRENT CURRENT'
is 'what was encrypted before decrypts' "$(text decrypt --ciphertext-blob fileb://blob --query Plaintext | base64 -d)" before
is 'and names the old material' "$(post Decrypt '{"CiphertextBlob":"'"$(base64 -w0 blob)"'"}' | jq -r .KeyMaterialId)" \
	"$(post ListKeyRotations '{"KeyId":"'"$ID"'","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}' | jq -r '.Rotations[0].KeyMaterialId')"

# --- tags, description, last use

is 'tag-resource prints nothing' "$(aws kms tag-resource --key-id "$ID" --tags TagKey=team,TagValue=storage TagKey=b,TagValue=c 2>&1)" ''
is 'untag-resource prints nothing' "$(aws kms untag-resource --key-id "$ID" --tag-keys b 2>&1)" ''
is 'list-resource-tags' "$(text list-resource-tags --key-id "$ID" --query 'Tags[].[TagKey,TagValue]')" $'team\tstorage'
refuses 'a tag twice' TagException 'Duplicate tag keys' tag-resource --key-id "$ID" --tags TagKey=a,TagValue=b TagKey=a,TagValue=c
refuses 'a reserved tag' TagException 'Tags beginning with aws: are reserved' tag-resource --key-id "$ID" --tags TagKey=aws:a,TagValue=b
is 'update-key-description prints nothing' "$(aws kms update-key-description --key-id "$ID" --description new 2>&1)" ''
is 'describe-key has the new description' "$(text describe-key --key-id "$ID" --query KeyMetadata.Description)" new
is 'get-key-last-usage' "$(post GetKeyLastUsage '{"KeyId":"'"$ID"'"}' | jq -r .KeyLastUsage.Operation)" Decrypt
EVENT=$(post GetKeyLastUsage '{"KeyId":"'"$ID"'"}' | jq -r .KeyLastUsage.CloudTrailEventId)
is 'its event is in the audit trail' "$(jq -r "select(.eventID == \"$EVENT\").eventName" "$KMSD_DIR/audit.jsonl")" Decrypt
not_ok 'no grant token is in the audit trail' grep -qF "$TOKEN" "$KMSD_DIR/audit.jsonl"

# --- states

aws kms schedule-key-deletion --key-id "$ID" --pending-window-in-days 7 >/dev/null
is 'pending deletion: rotation shows as off' "$(text get-key-rotation-status --key-id "$ID" --query KeyRotationEnabled)" False
refuses 'pending deletion: tag-resource' KMSInvalidStateException "$KEY_ARN is pending deletion." tag-resource --key-id "$ID" \
	--tags TagKey=x,TagValue=y
refuses 'pending deletion: create-grant' KMSInvalidStateException "$KEY_ARN is pending deletion." create-grant --key-id "$ID" \
	--grantee-principal "$ROLE" --operations Decrypt
aws kms cancel-key-deletion --key-id "$ID" >/dev/null
is 'cancelled: rotation is on again' "$(text get-key-rotation-status --key-id "$ID" --query KeyRotationEnabled)" True
refuses 'disabled: enable-key-rotation' DisabledException "$KEY_ARN is disabled." enable-key-rotation --key-id "$ID"
refuses 'operation of later' UnsupportedOperationException 'kmsd does not support GenerateDataKeyPair yet.' \
	generate-data-key-pair --key-id "$ID" --key-pair-spec RSA_2048

# --- a kill

read -r GRANT < <(aws kms enable-key --key-id "$ID"; text create-grant --key-id "$ID" --grantee-principal "$ROLE" \
	--operations Decrypt --query GrantId)
kill -KILL "$KMSD_PID"
wait "$KMSD_PID" 2>/dev/null
start_kmsd
is 'a grant outlives kill -9' "$(text list-grants --key-id "$ID" --query 'Grants[].GrantId')" "$GRANT"

done_testing
