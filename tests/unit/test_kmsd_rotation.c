/* Rotation by the clock and on demand, tags, descriptions, last use: through the request flow. */
#include "kmsd_rig.h"

#include <errno.h>
#include <pthread.h>

static struct kms_json *status_of(struct rig *f, const char *arn)
{
	return rig_call(f, f->root, "GetKeyRotationStatus", "{\"KeyId\":\"%s\"}", arn);
}

static bool rotates(struct rig *f, const char *arn)
{
	struct kms_json *v = status_of(f, arn);
	bool on = kms_json_bool_value(kms_json_get(v, "KeyRotationEnabled"));

	assert_int_equal(on, kms_json_has(v, "RotationPeriodInDays"));
	assert_int_equal(on, kms_json_has(v, "NextRotationDate"));
	kms_json_free(v);
	return on;
}

static int64_t next_ms(struct rig *f, const char *arn)
{
	struct kms_json *v = status_of(f, arn);
	double d = kms_json_double_value(kms_json_get(v, "NextRotationDate"));

	kms_json_free(v);
	return (int64_t)(d * 1000 + 0.5);
}

static void current(struct rig *f, const char *arn, char ret_material[65])
{
	struct kms_json *v = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);

	strcpy(ret_material, rig_text(kms_json_get(v, "KeyMetadata"), "CurrentKeyMaterialId"));
	kms_json_free(v);
}

static bool rotated_since(struct rig *f, const char *arn, char material[65])
{
	char now[65];
	bool changed;

	current(f, arn, now);
	changed = strcmp(now, material) != 0;
	strcpy(material, now);
	return changed;
}

static void decrypts_with(struct rig *f, const char *blob, const char *material)
{
	struct kms_json *v = rig_call(f, f->root, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);

	assert_string_equal(rig_text(v, "Plaintext"), "aGVsbG8=");
	assert_string_equal(rig_text(v, "KeyMaterialId"), material);
	kms_json_free(v);
}

static void rotation_comes_each_period_and_old_blobs_stay_readable(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], material[3][65], blob[3][1024];

	rig_key(f, arn);
	assert_false(rotates(f, arn));
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}", arn);
	assert_true(rotates(f, arn));
	assert_int_equal(next_ms(f, arn), RIG_NOW_MS + 90 * RIG_DAY_MS);
	for (int i = 0; i < 3; i++) {
		current(f, arn, material[i]);
		rig_encrypt(f, arn, "{}", blob[i]);
		f->now_ms += 90 * RIG_DAY_MS - 1;
		assert_false(rotated_since(f, arn, material[i]));
		f->now_ms += 1;
	}
	for (int i = 0; i < 3; i++)
		decrypts_with(f, blob[i], material[i]);
	assert_string_not_equal(material[0], material[1]);
	assert_string_not_equal(material[1], material[2]);
	assert_true(rotated_since(f, arn, material[2]));
	assert_int_equal(next_ms(f, arn), RIG_NOW_MS + 4 * 90 * RIG_DAY_MS);
	rig_do(f, "DisableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	assert_false(rotates(f, arn));
	f->now_ms += 3000 * RIG_DAY_MS;
	assert_false(rotated_since(f, arn, material[2]));
}

static void the_timer_rotates_keys_that_nobody_uses(void **state)
{
	struct rig *f = *state;
	char arn[70][KEYREF_ARN_MAX];
	struct err err = {0};
	struct kms_json *v;

	for (int i = 0; i < 70; i++) { /* more than are taken at a time */
		rig_key(f, arn[i]);
		rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn[i]);
	}
	f->now_ms += 365 * RIG_DAY_MS;
	assert_int_equal(keyring_rotate_due(f->kmsd.ring, f->now_ms, &err), 0);
	f->now_ms = RIG_NOW_MS; /* so that looking does not rotate */
	for (int i = 0; i < 70; i++) {
		v = rig_call(f, f->root, "ListKeyRotations", "{\"KeyId\":\"%s\"}", arn[i]);
		assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
		kms_json_free(v);
	}
}

static void a_new_period_counts_from_the_start_of_the_old(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(next_ms(f, arn), RIG_NOW_MS + 365 * RIG_DAY_MS);
	f->now_ms += 10 * RIG_DAY_MS;
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(next_ms(f, arn), RIG_NOW_MS + 365 * RIG_DAY_MS);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":2560}", arn);
	assert_int_equal(next_ms(f, arn), RIG_NOW_MS + 2560 * RIG_DAY_MS);
}

static void a_disabled_key_waits_and_is_rotated_once(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], material[65], text[512];
	struct kms_json *v;

	rig_key(f, arn);
	current(f, arn, material);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}", arn);
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", arn);
	f->now_ms += 1000 * RIG_DAY_MS;
	assert_false(rotated_since(f, arn, material));
	assert_true(rotates(f, arn));
	sprintf(text, "DisabledException: %s is disabled.", arn);
	rig_refused(f, f->root, text, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, text, "DisableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, text, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "EnableKey", "{\"KeyId\":\"%s\"}", arn);
	assert_true(rotated_since(f, arn, material));
	assert_false(rotated_since(f, arn, material));
	assert_int_equal(next_ms(f, arn), f->now_ms + 90 * RIG_DAY_MS);
	v = rig_call(f, f->root, "ListKeyRotations", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
	kms_json_free(v);
}

static void pending_deletion_hides_rotation_and_cancel_restores_it(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], text[512];

	rig_key(f, arn);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", arn);
	assert_false(rotates(f, arn));
	sprintf(text, "KMSInvalidStateException: %s is pending deletion.", arn);
	rig_refused(f, f->root, text, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", arn);
	assert_true(rotates(f, arn));
}

static void rotation_on_demand_takes_two_minutes_and_25_are_all(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], material[65], text[1024];
	struct kms_json *v;

	rig_key(f, arn);
	current(f, arn, material);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	for (int i = 0; i < 25; i++) {
		int64_t began_ms = f->now_ms;

		v = rig_call(f, f->root, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", arn);
		assert_string_equal(rig_text(v, "KeyId"), arn);
		kms_json_free(v);
		f->now_ms += 119999;
		rig_do(f, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", arn); /* the same one */
		assert_false(rotated_since(f, arn, material));
		v = status_of(f, arn);
		assert_int_equal((int64_t)(kms_json_double_value(
						   kms_json_get(v, "OnDemandRotationStartDate")) *
						   1000 +
					   0.5),
				 began_ms);
		kms_json_free(v);
		f->now_ms += 1;
		assert_true(rotated_since(f, arn, material));
		v = status_of(f, arn);
		assert_false(kms_json_has(v, "OnDemandRotationStartDate"));
		kms_json_free(v);
	}
	sprintf(text,
		"LimitExceededException: The on-demand rotations limit has been reached for the "
		"given keyId. No more on-demand rotations can be performed for this key: %s",
		arn);
	rig_refused(f, f->root, text, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", arn);
	/* It does not move the automatic ones. */
	assert_int_equal(next_ms(f, arn), RIG_NOW_MS + 365 * RIG_DAY_MS);
}

static void disabling_rotation_leaves_one_on_demand_alone(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], material[65];

	rig_key(f, arn);
	current(f, arn, material);
	keyring_set_rotation_delay(f->kmsd.ring, 1000);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", arn);
	rig_do(f, "DisableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	rig_close(f); /* it is in the database, not in memory */
	rig_open(f);
	f->now_ms += 120000;
	assert_true(rotated_since(f, arn, material));
}

static void rotations_are_listed_with_their_kind(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], material[65];
	struct kms_json *v, *list;

	rig_key(f, arn);
	current(f, arn, material);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\",\"RotationPeriodInDays\":90}", arn);
	rig_do(f, "RotateKeyOnDemand", "{\"KeyId\":\"%s\"}", arn);
	f->now_ms += 120000;
	assert_true(rotated_since(f, arn, material));
	f->now_ms += 90 * RIG_DAY_MS;
	assert_true(rotated_since(f, arn, material));
	v = rig_call(f, f->root, "ListKeyRotations",
		     "{\"KeyId\":\"%s\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\"}", arn);
	list = kms_json_get(v, "Rotations");
	assert_int_equal(kms_json_count(list), 3);
	assert_false(kms_json_has(kms_json_at(list, 0), "RotationType"));
	assert_string_equal(rig_text(kms_json_at(list, 1), "RotationType"), "ON_DEMAND");
	assert_string_equal(rig_text(kms_json_at(list, 1), "KeyMaterialState"), "NON_CURRENT");
	assert_string_equal(rig_text(kms_json_at(list, 2), "RotationType"), "AUTOMATIC");
	assert_string_equal(rig_text(kms_json_at(list, 2), "KeyMaterialState"), "CURRENT");
	assert_string_equal(rig_text(kms_json_at(list, 2), "KeyMaterialId"), material);
	kms_json_free(v);
	v = rig_call(f, f->root, "ListKeyRotations", "{\"KeyId\":\"%s\",\"Limit\":1}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
	assert_string_equal(rig_text(v, "NextMarker"), "1");
	kms_json_free(v);
	v = rig_call(f, f->root, "ListKeyRotations", "{\"KeyId\":\"%s\",\"Marker\":\"1\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
	assert_false(kms_json_bool_value(kms_json_get(v, "Truncated")));
	kms_json_free(v);
	rig_refused(f, f->root, "InvalidMarkerException", "ListKeyRotations",
		    "{\"KeyId\":\"%s\",\"Marker\":\"x\"}", arn);
}

static void rotation_takes_no_aliases(void **state)
{
	static const char *const names[] = {"EnableKeyRotation", "DisableKeyRotation",
					    "GetKeyRotationStatus", "RotateKeyOnDemand",
					    "ListKeyRotations"};
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];

	rig_key(f, arn);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", arn);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		rig_refused(f, f->root, "NotFoundException: Invalid keyId 'alias/x'", names[i],
			    "{\"KeyId\":\"alias/x\"}");
		rig_refused(f, f->root, "InvalidArnException", names[i],
			    "{\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:alias/x\"}");
	}
}

static void tags_are_set_replaced_listed_and_removed(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], body[8192], marker[1024];
	struct kms_json *v;
	int n;

	rig_key(f, arn);
	rig_do(f, "TagResource",
	       "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"1\"},{\"TagKey\":"
	       "\"b\","
	       "\"TagValue\":\"\"}]}",
	       arn);
	rig_do(f, "TagResource",
	       "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"2\"}]}", arn);
	v = rig_call(f, f->root, "ListResourceTags", "{\"KeyId\":\"%s\",\"Limit\":1}", arn);
	assert_string_equal(rig_text(kms_json_at(kms_json_get(v, "Tags"), 0), "TagValue"), "2");
	strcpy(marker, rig_text(v, "NextMarker"));
	kms_json_free(v);
	v = rig_call(f, f->root, "ListResourceTags", "{\"KeyId\":\"%s\",\"Marker\":\"%s\"}", arn,
		     marker);
	assert_int_equal(kms_json_count(kms_json_get(v, "Tags")), 1);
	kms_json_free(v);
	rig_refused(f, f->root, "TagException: Duplicate tag keys", "TagResource",
		    "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"a\",\"TagValue\":\"1\"},{\"TagKey\":"
		    "\"a\",\"TagValue\":\"\"}]}",
		    arn);
	rig_refused(f, f->root, "TagException: Tags beginning with aws: are reserved",
		    "TagResource",
		    "{\"KeyId\":\"%s\",\"Tags\":[{\"TagKey\":\"aws:a\",\"TagValue\":\"1\"}]}", arn);
	n = sprintf(body, "{\"KeyId\":\"%s\",\"Tags\":[", arn);
	for (int i = 0; i < 49; i++)
		n += sprintf(body + n, "%s{\"TagKey\":\"k%d\",\"TagValue\":\"v\"}", i ? "," : "",
			     i);
	sprintf(body + n, "]}");
	rig_refused(f, f->root, "TagException: Too many tags", "TagResource", "%s", body);
	v = rig_call(f, f->root, "ListResourceTags", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Tags")), 2); /* all or nothing */
	kms_json_free(v);
	rig_do(f, "UntagResource", "{\"KeyId\":\"%s\",\"TagKeys\":[\"a\",\"nosuch\"]}", arn);
	rig_do(f, "TagResource", "%s", body);
	v = rig_call(f, f->root, "ListResourceTags", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Tags")), 50);
	kms_json_free(v);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "KMSInvalidStateException", "UntagResource",
		    "{\"KeyId\":\"%s\",\"TagKeys\":[\"b\"]}", arn);
	rig_do(f, "ListResourceTags", "{\"KeyId\":\"%s\"}", arn);
}

static void descriptions_change(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX];
	struct kms_json *v;

	rig_key(f, arn);
	rig_do(f, "UpdateKeyDescription", "{\"KeyId\":\"%s\",\"Description\":\"new\"}", arn);
	v = rig_call(f, f->root, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	assert_string_equal(rig_text(kms_json_get(v, "KeyMetadata"), "Description"), "new");
	kms_json_free(v);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\"}", arn);
	rig_refused(f, f->root, "KMSInvalidStateException", "UpdateKeyDescription",
		    "{\"KeyId\":\"%s\",\"Description\":\"\"}", arn);
}

static void last_use_is_the_last_success(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[1024];
	struct kms_json *v, *use;

	rig_key(f, arn);
	v = rig_call(f, f->root, "GetKeyLastUsage", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "KeyLastUsage")), 0);
	assert_true(kms_json_has(v, "TrackingStartDate"));
	kms_json_free(v);
	rig_encrypt(f, arn, "{}", blob);
	f->now_ms += 1000;
	rig_do(f, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);
	f->now_ms += 1000;
	rig_refused(f, f->root, "InvalidCiphertextException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"b\"}}", blob);
	for (int i = 0; i < 2; i++) {
		v = rig_call(f, f->root, "GetKeyLastUsage", "{\"KeyId\":\"%s\"}", arn);
		use = kms_json_get(v, "KeyLastUsage");
		assert_string_equal(rig_text(use, "Operation"), "Decrypt");
		assert_int_equal((int64_t)kms_json_double_value(kms_json_get(use, "Timestamp")),
				 RIG_NOW_MS / 1000 + 1);
		assert_int_equal(strlen(rig_text(use, "CloudTrailEventId")), IDS_UUID_LEN);
		assert_int_equal(strlen(rig_text(use, "KmsRequestId")), IDS_UUID_LEN);
		kms_json_free(v);
		rig_close(f);
		rig_open(f);
	}
}

struct looker {
	struct rig *f;
	char arn[KEYREF_ARN_MAX], material[65];
};

static void *look(void *arg)
{
	struct looker *l = arg;

	for (int i = 0; i < 20; i++)
		current(l->f, l->arn, l->material);
	return NULL;
}

static void many_who_find_it_due_rotate_it_once(void **state)
{
	struct rig *f = *state;
	struct looker lookers[4];
	pthread_t threads[4];
	char arn[KEYREF_ARN_MAX];
	struct kms_json *v;

	rig_key(f, arn);
	rig_do(f, "EnableKeyRotation", "{\"KeyId\":\"%s\"}", arn);
	f->now_ms += 365 * RIG_DAY_MS;
	for (int i = 0; i < 4; i++) {
		lookers[i].f = f;
		strcpy(lookers[i].arn, arn);
		assert_int_equal(pthread_create(&threads[i], NULL, look, &lookers[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < 4; i++)
		assert_string_equal(lookers[i].material, lookers[0].material);
	v = rig_call(f, f->root, "ListKeyRotations", "{\"KeyId\":\"%s\"}", arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
	kms_json_free(v);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rotation_comes_each_period_and_old_blobs_stay_readable),
		TEST(the_timer_rotates_keys_that_nobody_uses),
		TEST(a_new_period_counts_from_the_start_of_the_old),
		TEST(a_disabled_key_waits_and_is_rotated_once),
		TEST(pending_deletion_hides_rotation_and_cancel_restores_it),
		TEST(rotation_on_demand_takes_two_minutes_and_25_are_all),
		TEST(disabling_rotation_leaves_one_on_demand_alone),
		TEST(rotations_are_listed_with_their_kind),
		TEST(rotation_takes_no_aliases),
		TEST(many_who_find_it_due_rotate_it_once),
		TEST(tags_are_set_replaced_listed_and_removed),
		TEST(descriptions_change),
		TEST(last_use_is_the_last_success),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
