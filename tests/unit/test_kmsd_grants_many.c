/* Grants in numbers: many of one grantee, many threads, as many as a key takes. */
#include "kmsd_rig.h"

#include <errno.h>
#include <pthread.h>

#define DENIED "AccessDeniedException"

/* More grants to one grantee than lie in one list: each is found by its pair, others are not. */
static void many_grants_of_one_grantee_are_told_apart(void **state)
{
	struct rig *f = *state;
	char arn[KEYREF_ARN_MAX], blob[3][1024], more[128], id[GRANT_ID_LEN + 1];
	static const char body[] = "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":%s}";
	static const char *const contexts[] = {"{\"vol\":\"v-7\"}", "{\"vol\":\"v-299\"}",
					       "{\"vol\":\"v-300\"}"};

	rig_key(f, arn);
	for (int i = 0; i < 3; i++)
		rig_encrypt(f, arn, contexts[i], blob[i]);
	for (int i = 0; i < 300; i++) {
		sprintf(more, ",\"Constraints\":{\"EncryptionContextSubset\":{\"vol\":\"v-%d\"}}",
			i);
		rig_grant(f, arn, i == 299 ? "\"Decrypt\",\"CreateGrant\"" : "\"Decrypt\"", more,
			  id, NULL);
		if (i == 10) /* while the list is short, and then again when it is long */
			kms_json_free(rig_call(f, f->other, "Decrypt", body, blob[0], contexts[0]));
	}
	kms_json_free(rig_call(f, f->other, "Decrypt", body, blob[0], contexts[0]));
	kms_json_free(rig_call(f, f->other, "Decrypt", body, blob[1], contexts[1]));
	rig_refused(f, f->other, DENIED, "Decrypt", body, blob[2], contexts[2]);
	rig_refused(f, f->other, DENIED, "DescribeKey", "{\"KeyId\":\"%s\"}", arn);
	kms_json_free(rig_call(f, f->other, "CreateGrant",
			       "{\"KeyId\":\"%s\",\"GranteePrincipal\":\"" RIG_ROOT
			       "\",\"Operations\":[\"Decrypt\"],\"Constraints\":{"
			       "\"EncryptionContextEquals\":{\"vol\":\"v-299\",\"z\":\"z\"}}}",
			       arn));
	rig_do(f, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", arn, id);
	rig_refused(f, f->other, DENIED, "Decrypt", body, blob[1], contexts[1]);
	rig_grant(f, arn, "\"DescribeKey\"", "", NULL, NULL);
	kms_json_free(rig_call(f, f->other, "DescribeKey", "{\"KeyId\":\"%s\"}", arn));
	sprintf(more, ",\"Constraints\":{\"EncryptionContextSubset\":{\"vol\":\"v-300\"}}");
	rig_grant(f, arn, "\"Decrypt\"", more, NULL, NULL);
	kms_json_free(rig_call(f, f->other, "Decrypt", body, blob[2], contexts[2]));
}

#define ROUNDS 30

struct worker {
	struct rig *f;
	int n;
	char arn[KEYREF_ARN_MAX], blob[1024];
	bool wrong;
};

/* What was acknowledged counts for the next request, whatever the others do to the same lists. */
static void *make_use_and_end(void *arg)
{
	struct worker *w = arg;
	char id[GRANT_ID_LEN + 1], body[2048], more[128];
	struct kms_json *v;

	for (int i = 0; i < ROUNDS; i++) {
		sprintf(more, ",\"Constraints\":{\"EncryptionContextSubset\":{\"w\":\"%d\"}}",
			w->n);
		rig_grant(w->f, w->arn, "\"Decrypt\"", more, id, NULL);
		sprintf(body, "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"w\":\"%d\"}}",
			w->blob, w->n);
		w->wrong |= rig_send(w->f, w->f->other, "Decrypt", body, &v) != 200;
		kms_json_free(v);
		rig_do(w->f, "RevokeGrant", "{\"KeyId\":\"%s\",\"GrantId\":\"%s\"}", w->arn, id);
		w->wrong |= rig_send(w->f, w->f->other, "Decrypt", body, &v) != 400;
		kms_json_free(v);
	}
	return NULL;
}

static void threads_see_their_own_changes_at_once(void **state)
{
	struct rig *f = *state;
	struct worker workers[4] = {0};
	pthread_t threads[4];
	char arn[KEYREF_ARN_MAX], context[64];

	rig_key(f, arn);
	for (int i = 0; i < 66; i++) /* the others of the grantee fill its list */
		rig_grant(f, arn, "\"Encrypt\"", "", NULL, NULL);
	for (int i = 0; i < 4; i++) {
		workers[i].f = f;
		workers[i].n = i;
		strcpy(workers[i].arn, arn);
		sprintf(context, "{\"w\":\"%d\"}", i);
		rig_encrypt(f, arn, context, workers[i].blob);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_use_and_end, &workers[i]),
				 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		assert_false(workers[i].wrong);
}

static void *make_named(void *arg)
{
	struct worker *w = arg;

	rig_grant(w->f, w->arn, "\"Decrypt\"", ",\"Name\":\"same\"", NULL, NULL);
	return NULL;
}

static void one_name_at_once_makes_one_grant(void **state)
{
	struct rig *f = *state;
	struct worker w = {.f = f};
	pthread_t threads[8];
	struct kms_json *v;

	rig_key(f, w.arn);
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_named, &w), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	v = rig_call(f, f->root, "ListGrants", "{\"KeyId\":\"%s\"}", w.arn);
	assert_int_equal(kms_json_count(kms_json_get(v, "Grants")), 1);
	kms_json_free(v);
}

static void a_key_takes_so_many_grants_and_no_more(void **state)
{
	struct rig *f = *state;
	struct grant wanted = {.name = "",
			       .grantee = RIG_OTHER,
			       .retiring = "",
			       .grantee_id = "",
			       .retiring_id = "",
			       .issuer = "111122223333",
			       .permit.operations = 1};
	char arn[KEYREF_ARN_MAX], id[16];
	struct err err = {0};

	rig_key(f, arn);
	strcpy(wanted.account, "111122223333");
	strcpy(wanted.region, "us-east-1");
	strcpy(wanted.key_id, strrchr(arn, '/') + 1);
	for (int i = 0; i < 3; i++) {
		sprintf(id, "%d", i);
		strcpy(wanted.id, id);
		assert_int_equal(store_create_grant(f->kmsd.store, &wanted, 3, &err), 0);
	}
	strcpy(wanted.id, "3");
	assert_int_equal(store_create_grant(f->kmsd.store, &wanted, 3, &err), -E2BIG);
	strcpy(wanted.id, "1");
	assert_int_equal(store_delete_grant(f->kmsd.store, &wanted, &err), 0);
	assert_int_equal(store_delete_grant(f->kmsd.store, &wanted, &err), -ENOENT);
	strcpy(wanted.id, "3");
	assert_int_equal(store_create_grant(f->kmsd.store, &wanted, 3, &err), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_grants_of_one_grantee_are_told_apart),
		TEST(threads_see_their_own_changes_at_once),
		TEST(one_name_at_once_makes_one_grant),
		TEST(a_key_takes_so_many_grants_and_no_more),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
