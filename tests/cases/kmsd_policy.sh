#!/bin/bash
# Key policies through the aws command: the lockout safety check, invalid principals, a new policy that
# counts at once, the sentences of the refusals, and a key that is locked for good.
. "$(dirname "$0")/../lib/case.sh"
need aws

document() { printf '{"Version":"2012-10-17","Statement":[%s]}' "$1"; }
ROOT='{"Sid":"Enable IAM User Permissions","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}'
OTHER='{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"kms:*","Resource":"*"}'
GONE='{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/gone"},"Action":"kms:*","Resource":"*"}'
MANAGE='{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["kms:GetKeyPolicy","kms:PutKeyPolicy"],"Resource":"*"}'
EBS='{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:AppName":"ok"}}}'
SENTENCE='The new key policy will not allow you to update the key policy in the future.'
kms() { aws kms "$@"; }

start_kmsd
KEY=$(kms create-key --query KeyMetadata.Arn --output text) || exit 1
put() { kms put-key-policy --key-id "$KEY" --policy-name default --policy "$(document "$1")" "${@:2}" 2>&1; }
denied() { # OPERATION
	echo "User: arn:aws:iam::111122223333:root is not authorized to perform: kms:$1 on resource: $KEY because no resource-based policy allows the kms:$1 action"
}
holds() { # NAME TEXT...: TEXT is in what NAME says
	local out
	out=$("${@:3}" 2>&1)
	if [[ $out == *"$2"* ]]; then pass "$1"; else fail "$1" "got: '$out'" "wanted in it: '$2'"; fi
}

holds 'a policy that locks its author out is refused' \
	"(MalformedPolicyDocumentException) when calling the PutKeyPolicy operation: $SENTENCE" put "$OTHER"
holds 'so is one that a new key would get' \
	"(MalformedPolicyDocumentException) when calling the CreateKey operation: $SENTENCE" \
	kms create-key --policy "$(document "$OTHER")"
holds 'a principal that does not exist is refused' \
	'Policy contains a statement with one or more invalid principals.' put "$ROOT,$GONE"
is 'a policy that keeps a way back is taken, silently' "$(put "$MANAGE")" ''
holds 'and counts at once' "$(denied Encrypt)" kms encrypt --key-id "$KEY" --plaintext aGk=
is 'what remained repairs the key' "$(put "$ROOT,$EBS")" ''
ok 'which then serves again' kms encrypt --key-id "$KEY" --plaintext aGk=
is 'a condition on the encryption context' "$(put "$MANAGE,$EBS")" ''
ok 'lets in what meets it' kms encrypt --key-id "$KEY" --plaintext aGk= --encryption-context AppName=ok
holds 'and nothing else' "$(denied Encrypt)" \
	kms encrypt --key-id "$KEY" --plaintext aGk= --encryption-context AppName=no
is 'with the bypass the key can be locked' "$(put "$OTHER" --bypass-policy-lockout-safety-check)" ''
holds 'nobody reads its policy then' "$(denied GetKeyPolicy)" kms get-key-policy --key-id "$KEY" --policy-name default
holds 'nor changes it' "$(denied PutKeyPolicy)" put "$ROOT"
done_testing
