"""kmsd against AWS's own model of KMS: requests made and replies read by botocore, and each reply, as it came over
the wire, compared with the model's shapes. Prints lines "ok CLAIM", "not ok CLAIM: WHY" and "# NOTE".

An old model (Debian 12's aws command) lacks operations and members; what it lacks is said and left out."""

import base64
import importlib
import json
import os
import re
import sys


def load_botocore():
    for name in ("botocore", "awscli.botocore"):
        try:
            return [importlib.import_module(name + m) for m in (".session", ".config")]
        except ImportError:
            pass
    sys.exit(77)


SESSION, CONFIG = load_botocore()
COMMON = {"ValidationException", "AccessDeniedException", "SerializationException", "UnsupportedOperationException"}
client = SESSION.get_session().create_client(
    "kms", region_name=os.environ["AWS_REGION"], endpoint_url=os.environ["AWS_ENDPOINT_URL"],
    config=CONFIG.Config(parameter_validation=False))
model = client.meta.service_model
NEW = "GetKeyLastUsage" in model.operation_names
method = {v: k for k, v in client.meta.method_to_api_mapping.items()}
driven = set()
raw = {}


def report(claim, why=None):
    print(("not ok %s: %s" % (claim, why) if why else "ok %s" % claim).replace("\n", " "))


def keep(http_response, model, **_):
    raw[model.name] = http_response.content


client.meta.events.register("after-call.kms", keep)


def mismatch(shape, value, at):
    """Where a value is not of its shape; None: it is."""
    kinds = {"string": str, "blob": str, "boolean": bool, "structure": dict, "map": dict, "list": list,
             "integer": int, "timestamp": (int, float)}
    if not isinstance(value, kinds[shape.type_name]):
        return "%s is not a %s" % (at, shape.type_name)
    if shape.type_name == "structure":
        for name, v in value.items():
            if name in shape.members:
                why = mismatch(shape.members[name], v, at + "." + name)
                if why:
                    return why
            elif NEW:
                return "%s.%s is not in the model" % (at, name)
        missing = set(shape.required_members) - set(value)
        return "%s lacks %s" % (at, missing) if missing else None
    if shape.type_name == "list":
        return next(filter(None, (mismatch(shape.member, v, at + "[]") for v in value)), None)
    if shape.type_name == "map":
        return None if all(isinstance(v, str) for v in value.values()) else at + " has other than strings"
    limits = shape.metadata
    if shape.type_name == "blob":
        value = base64.b64decode(value, validate=True)
    if shape.type_name in ("string", "blob") and not limits.get("min", 0) <= len(value) <= limits.get("max", 1 << 30):
        return "%s has a length of %d" % (at, len(value))
    if "enum" in limits and value not in limits["enum"]:
        return "%s is %s" % (at, value)
    if shape.type_name == "string" and "pattern" in limits and not re.search(limits["pattern"], value):
        return "%s does not match: %s" % (at, value)
    return None


def call(operation, claim=None, **given):
    """The parsed reply of a call that must succeed; {} if it does not."""
    claim = claim or operation
    driven.add(operation)
    if operation not in method:
        print("# %s: not in this model" % claim)
        return {}
    try:
        parsed = getattr(client, method[operation])(**given)
    except client.exceptions.ClientError as e:
        report(claim, str(e))
        return {}
    shape = model.operation_model(operation).output_shape
    body = raw[operation]
    if shape is None or not shape.members:
        report(claim, None if body in (b"", b"{}") else "a body: %r" % body)
    else:
        report(claim, mismatch(shape, json.loads(body), operation))
    return parsed


def refused(operation, code, text="", claim=None, **given):
    """A call that must be refused with that exception, which the model or all of KMS's operations have."""
    claim = claim or "%s is refused: %s" % (operation, code)
    if operation not in method:
        print("# %s: not in this model" % claim)
        return
    try:
        getattr(client, method[operation])(**given)
    except client.exceptions.ClientError as e:
        error = e.response["Error"]
        known = COMMON | {s.name for s in model.operation_model(operation).error_shapes}
        if error["Code"] != code or text not in error.get("Message", ""):
            report(claim, str(e))
        elif NEW and code not in known:
            report(claim, "the model does not have it")
        else:
            report(claim)
        return
    report(claim, "it succeeded")


def drive_keys():
    key = call("CreateKey", Description="a key", Tags=[{"TagKey": "é", "TagValue": "1"}])["KeyMetadata"]
    other = call("CreateKey", "CreateKey with a policy", Policy=json.dumps({
        "Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "kms:*",
                                               "Resource": "*"}}))["KeyMetadata"]
    k, arn = key["KeyId"], key["Arn"]
    call("DescribeKey", KeyId=k)
    call("ListKeys", Limit=1)
    call("CreateAlias", AliasName="alias/a", TargetKeyId=k)
    call("CreateAlias", "CreateAlias by ARN", AliasName="alias/b", TargetKeyId=arn)
    call("UpdateAlias", AliasName="alias/b", TargetKeyId=other["KeyId"])
    call("ListAliases", "ListAliases of a key", KeyId=k)
    call("DescribeKey", "DescribeKey by alias", KeyId="alias/a")
    call("UpdateKeyDescription", KeyId=k, Description="")
    call("TagResource", KeyId=k, Tags=[{"TagKey": str(i), "TagValue": ""} for i in range(5)])
    call("UntagResource", KeyId=k, TagKeys=["0"])
    call("ListResourceTags", KeyId=k)
    call("GetKeyPolicy", KeyId=k, PolicyName="default")
    call("PutKeyPolicy", KeyId=k, PolicyName="default", Policy=client.get_key_policy(
        KeyId=k, PolicyName="default")["Policy"])
    call("ListKeyPolicies", KeyId=k)
    return k, arn, other["KeyId"]


def drive_crypto(k, other):
    context = {"a": "b", "": "é"}
    blob = call("Encrypt", KeyId="alias/a", Plaintext=b"row", EncryptionContext=context)["CiphertextBlob"]
    got = call("Decrypt", CiphertextBlob=blob, EncryptionContext=context)
    report("Decrypt gives the plaintext", None if got.get("Plaintext") == b"row" else got)
    call("Decrypt", "Decrypt with its key", CiphertextBlob=blob, EncryptionContext=context, KeyId=k,
         EncryptionAlgorithm="SYMMETRIC_DEFAULT")
    call("ReEncrypt", CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId=other)
    call("GenerateDataKey", KeyId=k, KeySpec="AES_256")
    call("GenerateDataKeyWithoutPlaintext", KeyId=k, NumberOfBytes=64)
    call("GenerateRandom", NumberOfBytes=1024)
    call("GetKeyLastUsage", KeyId=k)
    refused("Decrypt", "InvalidCiphertextException", CiphertextBlob=blob)
    refused("Decrypt", "IncorrectKeyException", CiphertextBlob=blob, KeyId=other)
    refused("Encrypt", "ValidationException", KeyId=k, Plaintext=b"x" * 4097)
    if NEW:
        for operation, given in (
                ("Encrypt", {"KeyId": k, "Plaintext": b"x"}), ("Decrypt", {"CiphertextBlob": blob,
                 "EncryptionContext": context}), ("GenerateDataKey", {"KeyId": k, "KeySpec": "AES_128"}),
                ("ReEncrypt", {"CiphertextBlob": blob, "SourceEncryptionContext": context, "DestinationKeyId": k}),
                ("Decrypt", {"KeyId": k, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]})):
            refused(operation, "DryRunOperationException", DryRun=True, **given)
    for operation, code, given in (
            ("Sign", "InvalidKeyUsageException", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}),
            ("Verify", "InvalidKeyUsageException",
             {"Message": b"x", "Signature": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}),
            ("GenerateMac", "InvalidKeyUsageException", {"Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}),
            ("VerifyMac", "InvalidKeyUsageException", {"Message": b"x", "Mac": b"x", "MacAlgorithm": "HMAC_SHA_256"}),
            ("DeriveSharedSecret", "InvalidKeyUsageException",
             {"KeyAgreementAlgorithm": "ECDH", "PublicKey": b"x"}),
            ("GetPublicKey", "UnsupportedOperationException", {}),
            ("GetParametersForImport", "UnsupportedOperationException",
             {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}),
            ("ImportKeyMaterial", "UnsupportedOperationException", {"ImportToken": b"x", "EncryptedKeyMaterial": b"x"}),
            ("DeleteImportedKeyMaterial", "UnsupportedOperationException", {}),
            ("ReplicateKey", "UnsupportedOperationException", {"ReplicaRegion": "eu-west-1"}),
            ("UpdatePrimaryRegion", "UnsupportedOperationException", {"PrimaryRegion": "eu-west-1"}),
            ("GenerateDataKeyPair", "UnsupportedOperationException", {"KeyPairSpec": "RSA_2048"}),
            ("GenerateDataKeyPairWithoutPlaintext", "UnsupportedOperationException", {"KeyPairSpec": "RSA_2048"})):
        refused(operation, code, KeyId=k, **given)
        driven.add(operation)


def drive_grants(k, arn):
    root = "arn:aws:iam::%s:root" % arn.split(":")[4]
    grants = [call("CreateGrant", "CreateGrant %d" % i, KeyId=k, GranteePrincipal=root, RetiringPrincipal=root,
                   Operations=["Decrypt", "RetireGrant"], Name="grant-%d" % i,
                   Constraints={"EncryptionContextSubset": {"vol": str(i)}}) for i in range(3)]
    listed = call("ListGrants", KeyId=k)["Grants"]
    report("ListGrants shows all", None if len(listed) == 3 else listed)
    one = call("ListGrants", "ListGrants by id", KeyId=k, GrantId=grants[0]["GrantId"])["Grants"]
    report("ListGrants by id shows one", None if len(one) == 1 else one)
    call("ListGrants", "ListGrants by grantee", KeyId=k, GranteePrincipal=root)
    call("ListRetirableGrants", RetiringPrincipal=root)
    pages("list_grants", "Grants", 3, KeyId=k)
    pages("list_retirable_grants", "Grants", 3, RetiringPrincipal=root)
    call("RetireGrant", GrantToken=grants[0]["GrantToken"])
    call("RetireGrant", "RetireGrant by id", KeyId=arn, GrantId=grants[1]["GrantId"])
    call("RevokeGrant", KeyId=k, GrantId=grants[2]["GrantId"])
    refused("RevokeGrant", "NotFoundException", KeyId=k, GrantId=grants[2]["GrantId"])


def pages(name, member, least, **given):
    """As the aws command with --page-size 1 --max-items: pages of one, none twice, none left out."""
    if not client.can_paginate(name):
        print("# %s: no pages in this model" % name)
        return
    got = [json.dumps(v, default=str) for page in client.get_paginator(name).paginate(
        PaginationConfig={"PageSize": 1}, **given) for v in page[member]]
    report("%s in pages of one" % name, None if len(got) >= least and len(set(got)) == len(got) else got)
    some = client.get_paginator(name).paginate(PaginationConfig={"PageSize": 1, "MaxItems": 1}, **given)
    page = some.build_full_result()
    report("%s, at most one" % name, None if len(page[member]) == 1 and (least == 1 or "NextToken" in page) else page)


def drive_states(k):
    call("EnableKeyRotation", KeyId=k)
    call("GetKeyRotationStatus", KeyId=k)
    call("DisableKeyRotation", KeyId=k)
    call("RotateKeyOnDemand", KeyId=k)
    call("ListKeyRotations", KeyId=k, **({"IncludeKeyMaterial": "ALL_KEY_MATERIAL"} if NEW else {}))
    call("DisableKey", KeyId=k)
    refused("GenerateDataKey", "DisabledException", " is disabled.", KeyId=k, KeySpec="AES_256")
    call("EnableKey", KeyId=k)
    call("ScheduleKeyDeletion", KeyId=k, PendingWindowInDays=7)
    call("DescribeKey", "DescribeKey of a key that is to go", KeyId=k)
    refused("Encrypt", "KMSInvalidStateException", " is pending deletion.", KeyId=k, Plaintext=b"x")
    call("CancelKeyDeletion", KeyId=k)
    refused("CancelKeyDeletion", "KMSInvalidStateException", " is not pending deletion.", KeyId=k)
    call("DeleteAlias", AliasName="alias/a")
    refused("DeleteAlias", "NotFoundException", AliasName="alias/a")


# --- the model's limits: each member of each operation beyond each of its bounds

TIGHTER = {("ListAliases", "Limit"), ("ListGrants", "Limit"), ("ListRetirableGrants", "Limit"),
           ("ListResourceTags", "Limit")}  # the service allows less than the model
HIDDEN = {"GrantToken"}  # a value that is never repeated
UNSUPPORTED = {"CustomKeyStoreId", "XksKeyId"}  # members that kmsd refuses, whatever they are


def sample(shape):
    limits = shape.metadata
    if shape.type_name == "string":
        special = {"RegionType": "eu-west-1", "BackingKeyIdType": "0" * 64, "AliasNameType": "alias/a"}
        return special.get(shape.name) or (limits["enum"][0] if "enum" in limits else "a" * limits.get("min", 1) or "a")
    return {"blob": b"x", "integer": limits.get("min", 1), "boolean": True, "structure": {}, "map": {},
            "timestamp": 0, "list": ["Decrypt"] if shape.name == "GrantOperationList" else []}[shape.type_name]


def violations(shape):
    """(value, how a text shows it, the constraint) for each bound of the shape."""
    limits, kind = shape.metadata, shape.type_name
    if kind in ("string", "blob") and "enum" not in limits:
        fill = "0" if shape.name == "BackingKeyIdType" else "a"
        for n, words in ((limits.get("max", 0) + 1, "less than or equal to %s" % limits.get("max")),
                         (limits.get("min", 0) - 1, "greater than or equal to %s" % limits.get("min"))):
            # Whether an empty value, or one that is too short, fails the pattern too is not known.
            if (n < 1 and "pattern" in limits) or n < 0 or (n > 1 and "max" not in limits) or n > 200000:
                continue
            if shape.name == "RegionType":
                continue
            value = fill * n
            yield (value if kind == "string" else value.encode(), value, "Member must have length " + words)
    if kind == "string" and "pattern" in limits:
        value = "\u0100" * max(1, limits.get("min", 1))
        yield value, value, "Member must satisfy regular expression pattern: " + limits["pattern"]
    if kind == "string" and "enum" in limits:
        yield "X", "X", "Member must satisfy enum value set: [%s]" % ", ".join(limits["enum"])
    if kind == "integer" and "max" in limits:
        for n, words in ((limits["max"] + 1, "less than or equal to %d" % limits["max"]),
                         (limits["min"] - 1, "greater than or equal to %d" % limits["min"])):
            yield n, str(n), "Member must have value " + words


def drive_limits(operation):
    shape = model.operation_model(operation).input_shape
    wrong, count = [], 0
    if shape is None:
        return 0
    base = {n: sample(shape.members[n]) for n in shape.required_members}
    for name, member in shape.members.items():
        small = name[0].lower() + name[1:]
        tries = [] if (operation, name) in TIGHTER or name in UNSUPPORTED else [
            (dict(base, **{name: value}), shown if member.type_name != "blob" and len(shown) <= 900
             and name not in HIDDEN and not member.metadata.get("sensitive") else None, words)
            for value, shown, words in violations(member)]
        if name in shape.required_members:
            tries.append(({k: v for k, v in base.items() if k != name}, "null", "Member must not be null"))
        for given, shown, words in tries:
            value = "" if shown is None else " null" if shown == "null" and name not in given else " '%s'" % shown
            want = "1 validation error detected: Value%s at '%s' failed to satisfy constraint: %s" % (value, small, words)
            count += 1
            try:
                getattr(client, method[operation])(**given)
                got = "it succeeded"
            except client.exceptions.ClientError as e:
                got = e.response["Error"].get("Message", e.response["Error"]["Code"])
            if got != want:
                wrong.append("%s instead of %s" % (got[:300], want[:300]))
    report("%s: %d bounds of its members" % (operation, count), "; ".join(wrong) if wrong else None)
    return count


def main():
    k, arn, other = drive_keys()
    pages("list_keys", "Keys", 2)
    pages("list_aliases", "Aliases", 2)
    pages("list_resource_tags", "Tags", 5, KeyId=k)
    pages("list_key_policies", "PolicyNames", 1, KeyId=k)
    drive_crypto(k, other)
    drive_grants(k, arn)
    drive_states(k)
    later = {n for n in model.operation_names if "CustomKeyStore" in n}
    for operation in sorted(later):
        refused(operation, "UnsupportedOperationException")
    left = set(model.operation_names) - driven - later
    report("every operation of the model was driven", ", ".join(sorted(left)) if left else None)
    if NEW:
        unsupported = later | {"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"}
        unmodelled = {"ImportKeyMaterial", "ReplicateKey"}  # their further members are ignored
        total = sum(drive_limits(n) for n in sorted(set(model.operation_names) - unsupported - unmodelled))
        report("more than 200 bounds were tried", None if total > 200 else total)


main()
