/*
 * The table of the AWS KMS Developer Guide, "Key states of AWS KMS keys", whole: every operation, sent as a
 * request, on a key in every state. The rows are the guide's, not kmsd's.
 */
#include "kmsd_rig.h"

/*
 * A letter for each state in this order: Enabled, Disabled, PendingDeletion, PendingImport, Unavailable,
 * Creating, Updating.
 */
static const enum key_state states[] = {
	KEY_STATE_ENABLED,	  KEY_STATE_DISABLED,	 KEY_STATE_PENDING_DELETION,
	KEY_STATE_PENDING_IMPORT, KEY_STATE_UNAVAILABLE, KEY_STATE_CREATING,
	KEY_STATE_UPDATING,
};

#define STATES (sizeof(states) / sizeof(states[0]))

static const struct {
	char letter;
	const char *code, *text; /* $K is the key's ARN */
} answers[] = {
	{'D', "DisabledException", "$K is disabled."},
	{'P', "KMSInvalidStateException", "$K is pending deletion."},
	{'N', "KMSInvalidStateException", "$K is not pending deletion."},
	{'I', "KMSInvalidStateException", "$K is pending import."},
	{'U', "KMSInvalidStateException", "$K is unavailable."},
	{'C', "KMSInvalidStateException", "$K is creating."},
	{'X', "KMSInvalidStateException", "$K is updating."},
	{'E', "UnsupportedOperationException",
	 "$K origin is EXTERNAL which is not valid for this operation."},
	{'H', "UnsupportedOperationException",
	 "$K origin is AWS_CLOUDHSM which is not valid for this operation."},
	/* Whatever the state, since our keys have material of KMS's, are symmetric and of one region. */
	{'a', "UnsupportedOperationException",
	 "$K origin is AWS_KMS which is not valid for this operation."},
	{'s', "UnsupportedOperationException",
	 "$K key spec is SYMMETRIC_DEFAULT which is not valid for GetPublicKey."},
	{'m', "UnsupportedOperationException", "$K is not a multi-Region primary key."},
	{'u', "InvalidKeyUsageException",
	 "$K key usage is ENCRYPT_DECRYPT which is not valid for $O."},
};

/*
 * $K: the key; $O: another, enabled; $B: a blob of the key; $b: of the other; $A: an alias of the key, $a: of
 * the other; $F: an alias that is free; $G: a grant on the key; $P: a policy.
 */
static const struct row {
	const char *operation, *body, *want; /* '.': it works */
} rows[] = {
	{"Encrypt", "{'KeyId':'$K','Plaintext':'YQ=='}", ".DPIUC."},
	{"Decrypt", "{'CiphertextBlob':'$B'}", ".DPIUC."},
	{"Decrypt", "{'CiphertextBlob':'$B','KeyId':'$K'}", ".DPIUC."},
	{"ReEncrypt", "{'CiphertextBlob':'$B','DestinationKeyId':'$O'}", ".DPIUC."},
	{"ReEncrypt", "{'CiphertextBlob':'$b','DestinationKeyId':'$K'}", ".DPIUC."},
	{"GenerateDataKey", "{'KeyId':'$K','KeySpec':'AES_256'}", ".DPIUC."},
	{"GenerateDataKeyWithoutPlaintext", "{'KeyId':'$K','NumberOfBytes':64}", ".DPIUC."},
	{"CreateGrant", "{'KeyId':'$K','GranteePrincipal':'" RIG_ROOT "','Operations':['Decrypt']}",
	 ".DPI.C."},
	{"CreateAlias", "{'AliasName':'$F','TargetKeyId':'$K'}", "..P...."},
	{"UpdateAlias", "{'AliasName':'$a','TargetKeyId':'$K'}", "..P...."},
	{"UpdateAlias", "{'AliasName':'$A','TargetKeyId':'$O'}", "......."},
	{"DeleteAlias", "{'AliasName':'$A'}", "......."},
	{"ListAliases", "{'KeyId':'$K'}", "......."},
	{"DescribeKey", "{'KeyId':'$A'}", "......."},
	{"GetKeyPolicy", "{'KeyId':'$K'}", "......."},
	{"PutKeyPolicy", "{'KeyId':'$K','Policy':'$P'}", "......."},
	{"ListKeyPolicies", "{'KeyId':'$K'}", "......."},
	{"ListGrants", "{'KeyId':'$K'}", "......."},
	{"RetireGrant", "{'KeyId':'$K','GrantId':'$G'}", "......."},
	{"RevokeGrant", "{'KeyId':'$K','GrantId':'$G'}", "......."},
	{"ListResourceTags", "{'KeyId':'$K'}", "......."},
	{"EnableKey", "{'KeyId':'$K'}", "..PI.CX"},
	{"DisableKey", "{'KeyId':'$K'}", "..PI.CX"},
	{"ScheduleKeyDeletion", "{'KeyId':'$K','PendingWindowInDays':7}", "..P...X"},
	{"CancelKeyDeletion", "{'KeyId':'$K'}", "NN.NNNN"},
	{"TagResource", "{'KeyId':'$K','Tags':[{'TagKey':'a','TagValue':'b'}]}", "..P...."},
	{"UntagResource", "{'KeyId':'$K','TagKeys':['a']}", "..P...."},
	{"UpdateKeyDescription", "{'KeyId':'$K','Description':'new'}", "..P...."},
	{"EnableKeyRotation", "{'KeyId':'$K'}", ".DPEHC."},
	{"DisableKeyRotation", "{'KeyId':'$K'}", ".DPEHC."},
	{"RotateKeyOnDemand", "{'KeyId':'$K'}", ".DPEHC."},
	{"GetKeyRotationStatus", "{'KeyId':'$K'}", "...EH.."},
	{"ListKeyRotations", "{'KeyId':'$K'}", "...EH.."},
	{"GetKeyLastUsage", "{'KeyId':'$K'}", "......."},
	{"ImportKeyMaterial", "{'KeyId':'$K','ImportToken':'YQ==','EncryptedKeyMaterial':'YQ=='}",
	 "aaaaaaa"},
	{"GetParametersForImport",
	 "{'KeyId':'$K','WrappingAlgorithm':'RSAES_OAEP_SHA_256','WrappingKeySpec':'RSA_2048'}",
	 "aaaaaaa"},
	{"DeleteImportedKeyMaterial", "{'KeyId':'$K'}", "aaaaaaa"},
	{"GetPublicKey", "{'KeyId':'$K'}", "sssssss"},
	{"ReplicateKey", "{'KeyId':'$K','ReplicaRegion':'eu-west-1'}", "mmmmmmm"},
	{"UpdatePrimaryRegion", "{'KeyId':'$K','PrimaryRegion':'eu-west-1'}", "mmmmmmm"},
	{"Sign", "{'KeyId':'$K','Message':'YQ==','SigningAlgorithm':'ECDSA_SHA_256'}", "uDPIUCu"},
	{"Verify",
	 "{'KeyId':'$K','Message':'YQ==','Signature':'YQ==','SigningAlgorithm':'ECDSA_SHA_256'}",
	 "uDPIUCu"},
	{"GenerateMac", "{'KeyId':'$K','Message':'YQ==','MacAlgorithm':'HMAC_SHA_256'}", "uDPIUCu"},
	{"VerifyMac", "{'KeyId':'$K','Message':'YQ==','Mac':'YQ==','MacAlgorithm':'HMAC_SHA_256'}",
	 "uDPIUCu"},
	{"DeriveSharedSecret", "{'KeyId':'$K','KeyAgreementAlgorithm':'ECDH','PublicKey':'YQ=='}",
	 "uDPIUCu"},
};

/* The key under test, another, and what requests name of them. */
struct scene {
	char key[KEYREF_ARN_MAX], other[KEYREF_ARN_MAX];
	char blob[1024], other_blob[1024], grant[GRANT_ID_LEN + 1];
	char alias[32], other_alias[32], free_alias[32];
};

/* What $LETTER stands for in a request. */
static const char *meaning(const struct scene *s, char letter)
{
	switch (letter) {
	case 'K':
		return s->key;
	case 'O':
		return s->other;
	case 'B':
		return s->blob;
	case 'b':
		return s->other_blob;
	case 'A':
		return s->alias;
	case 'a':
		return s->other_alias;
	case 'F':
		return s->free_alias;
	case 'G':
		return s->grant;
	case 'P':
		return "{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":{\\\"Effect\\\":"
		       "\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":\\\"kms:*\\\","
		       "\\\"Resource\\\":\\\"*\\\"}}";
	}
	fail_msg("$%c", letter);
	return NULL;
}

/* @operation: what $O stands for in a text; NULL: in a request, it is the other key. */
static void fill_in(const struct scene *s, const char *text, const char *operation, char ret[4096])
{
	char *to = ret;

	for (; *text; text++) {
		if (*text == '$') {
			text++;
			to += sprintf(to, "%s",
				      operation && *text == 'O' ? operation : meaning(s, *text));
		} else {
			*to++ = *text == '\'' ? '"' : *text;
		}
	}
	*to = '\0';
}

/* Into a state that requests cannot bring about. */
static void force_state(struct rig *f, const char *arn, enum key_state to)
{
	struct keyref ref = {.alias = false};
	struct key *key = NULL;
	struct err err = {0};

	strcpy(ref.account, f->kmsd.place.account);
	strcpy(ref.name, strstr(arn, "key/") + 4);
	assert_int_equal(keyring_find(f->kmsd.ring, &f->kmsd.place, &ref, f->now_ms, &key, &err),
			 0);
	if (key->state != to)
		assert_int_equal(keyring_set_state(f->kmsd.ring, key, to,
						   to == KEY_STATE_PENDING_DELETION
							   ? f->now_ms + RIG_DAY_MS
							   : 0,
						   &err),
				 0);
	cached_put(key);
}

/* Before each request: an enabled key with grant, aliases and rotation as the request wants them. */
static void prepare(struct rig *f, struct scene *s, const struct row *row)
{
	static unsigned number;
	struct kms_json *v;

	force_state(f, s->key, KEY_STATE_ENABLED);
	number++;
	sprintf(s->alias, "alias/key-%u", number);
	sprintf(s->other_alias, "alias/other-%u", number);
	sprintf(s->free_alias, "alias/free-%u", number);
	if (strstr(row->body, "$A"))
		rig_do(f, "CreateAlias", "{\"AliasName\":\"%s\",\"TargetKeyId\":\"%s\"}", s->alias,
		       s->key);
	if (strstr(row->body, "$a"))
		rig_do(f, "CreateAlias", "{\"AliasName\":\"%s\",\"TargetKeyId\":\"%s\"}",
		       s->other_alias, s->other);
	if (!strstr(row->body, "$G"))
		return;
	v = rig_call(f, f->root, "CreateGrant",
		     "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_ROOT
		     "\",\"Operations\":[\"Decrypt\"]}",
		     s->key);
	strcpy(s->grant, rig_text(v, "GrantId"));
	kms_json_free(v);
}

static void check(struct rig *f, const struct scene *s, const struct row *row, char letter)
{
	char body[4096], text[4096], want[4200];

	fill_in(s, row->body, NULL, body);
	if (letter == '.') {
		kms_json_free(rig_call(f, f->root, row->operation, "%s", body));
		return;
	}
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].letter != letter)
			continue;
		fill_in(s, answers[i].text, row->operation, text);
		sprintf(want, "%s: %s", answers[i].code, text);
		rig_refused(f, f->root, want, row->operation, "%s", body);
		return;
	}
	fail_msg("no answer '%c'", letter);
}

static void every_operation_in_every_state_does_as_the_guide_says(void **state)
{
	struct rig *f = *state;
	struct scene s;

	rig_key(f, s.key);
	rig_key(f, s.other);
	rig_encrypt(f, s.key, "{}", s.blob);
	rig_encrypt(f, s.other, "{}", s.other_blob);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(strlen(rows[i].want), STATES);
		for (size_t j = 0; j < STATES; j++) {
			prepare(f, &s, &rows[i]);
			force_state(f, s.key, states[j]);
			check(f, &s, &rows[i], rows[i].want[j]);
		}
	}
}

/* The guide's footnote 12, and what CancelKeyDeletion leaves. */
static void operations_leave_the_state_that_the_guide_says(void **state)
{
	static const struct {
		const char *operation;
		enum key_state from, to;
	} moves[] = {
		{"EnableKey", KEY_STATE_DISABLED, KEY_STATE_ENABLED},
		{"EnableKey", KEY_STATE_ENABLED, KEY_STATE_ENABLED},
		{"EnableKey", KEY_STATE_UNAVAILABLE, KEY_STATE_UNAVAILABLE},
		{"DisableKey", KEY_STATE_ENABLED, KEY_STATE_DISABLED},
		{"DisableKey", KEY_STATE_DISABLED, KEY_STATE_DISABLED},
		{"DisableKey", KEY_STATE_UNAVAILABLE, KEY_STATE_UNAVAILABLE},
		{"ScheduleKeyDeletion", KEY_STATE_ENABLED, KEY_STATE_PENDING_DELETION},
		{"ScheduleKeyDeletion", KEY_STATE_DISABLED, KEY_STATE_PENDING_DELETION},
		{"CancelKeyDeletion", KEY_STATE_PENDING_DELETION, KEY_STATE_DISABLED},
	};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		struct kms_json *v;
		const struct kms_json *m;

		force_state(f, arn, moves[i].from);
		rig_do(f, moves[i].operation, "{\"KeyId\":\"%s\"}", arn);
		v = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
		m = kms_json_get(v, "KeyMetadata");
		assert_string_equal(rig_text(m, "KeyState"), keystate_name(moves[i].to));
		assert_int_equal(kms_json_bool_value(kms_json_get(m, "Enabled")),
				 moves[i].to == KEY_STATE_ENABLED);
		assert_int_equal(kms_json_get(m, "DeletionDate") != NULL,
				 moves[i].to == KEY_STATE_PENDING_DELETION);
		kms_json_free(v);
	}
}

static void states_have_the_names_of_the_api(void **state)
{
	(void)state;
	assert_string_equal(keystate_name(KEY_STATE_PENDING_DELETION), "PendingDeletion");
	for (int s = 0; s < KEY_STATE_COUNT; s++)
		assert_int_equal(keystate_from_name(keystate_name(s)), s);
	assert_int_equal(keystate_from_name("enabled"), KEY_STATE_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			every_operation_in_every_state_does_as_the_guide_says, rig_set_up,
			rig_tear_down),
		cmocka_unit_test_setup_teardown(operations_leave_the_state_that_the_guide_says,
						rig_set_up, rig_tear_down),
		cmocka_unit_test(states_have_the_names_of_the_api),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
