/* IAM's store, callers and session tokens, and the event history, without sockets. */
#include "kmsd_rig.h"

#include <errno.h>
#include <sys/stat.h>

#include "events.h"
#include "identity.h"
#include "session.h"
#include "store_iam.h"

#define ACCOUNT "111122223333"
#define NOW_MS	INT64_C(1700000000000)
#define POLICY                                                                                     \
	"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":"             \
	"\"kms:*\",\"Resource\":\"*\"}]}"

static struct iam_principal *create(struct rig *f, enum iam_kind kind, const char *name)
{
	struct iam_new w = {.kind = kind,
			    .account = ACCOUNT,
			    .name = name,
			    .path = "/team/",
			    .trust = kind == IAM_ROLE ? POLICY : NULL,
			    .max_session_s = 3600,
			    .now_ms = NOW_MS};
	struct iam_principal *p = NULL;
	struct err err = {0};

	if (store_iam_create(f->kmsd.store, &w, &p, &err) < 0)
		fail_msg("%s", err.msg);
	return p;
}

static void ids_are_bound_to_principals_not_names(void **state)
{
	struct rig *f = *state;
	struct iam_principal *p = create(f, IAM_USER, "u"), *again;
	char id[IDS_UNIQUE_LEN + 1], arn[IAM_ARN_MAX];
	struct err err = {0};

	assert_string_equal(p->arn, "arn:aws:iam::" ACCOUNT ":user/team/u");
	assert_int_equal(strlen(p->id), 21);
	assert_int_equal(store_iam_id_of_arn(f->kmsd.store, p->arn, id, &err), 0);
	assert_string_equal(id, p->id);
	assert_int_equal(store_iam_arn_of_id(f->kmsd.store, id, arn, &err), 0);
	assert_string_equal(arn, p->arn);
	assert_int_equal(
		store_iam_id_of_arn(f->kmsd.store, "arn:aws:iam::" ACCOUNT ":user/u", id, &err),
		-ENOENT); /* another path */
	assert_int_equal(store_iam_id_of_arn(f->kmsd.store, "arn:aws:iam::" ACCOUNT ":role/team/u",
					     id, &err),
			 -ENOENT);
	assert_int_equal(store_iam_id_of_arn(f->kmsd.store, "garbage", id, &err), -ENOENT);
	assert_int_equal(store_iam_delete(f->kmsd.store, p, &err), 0);
	assert_int_equal(store_iam_arn_of_id(f->kmsd.store, p->id, arn, &err), -ENOENT);
	again = create(f, IAM_USER, "u");
	assert_string_not_equal(again->id, p->id);
	assert_int_equal(store_iam_arn_of_id(f->kmsd.store, p->id, arn, &err), -ENOENT);
	cached_put(again);
	cached_put(p);
}

static void principal_is_read_whole_and_changes_are_seen(void **state)
{
	struct rig *f = *state;
	struct iam_principal *p = create(f, IAM_ROLE, "r"), *q = NULL;
	struct iam_new w = {.account = ACCOUNT, .name = "m", .path = "/", .now_ms = NOW_MS};
	struct iam_policy *policy = NULL;
	uint64_t before = store_iam_generation(f->kmsd.store);
	struct err err = {0};

	assert_int_equal(store_iam_create_policy(f->kmsd.store, &w, POLICY, &policy, &err), 0);
	assert_int_equal(store_iam_put_inline(f->kmsd.store, p, "inline", POLICY, &err), 0);
	assert_int_equal(store_iam_attach(f->kmsd.store, p, policy->arn, &err), 0);
	assert_int_equal(store_iam_set_boundary(f->kmsd.store, p, policy->arn, &err), 0);
	assert_int_equal(store_iam_set_tag(f->kmsd.store, p, "k", "v", &err), 0);
	assert_true(store_iam_generation(f->kmsd.store) >= before + 5);
	assert_int_equal(p->policy_count, 0); /* what was read does not change */
	assert_int_equal(store_iam_principal(f->kmsd.store, p->id, &q, &err), 0);
	assert_int_equal(q->policy_count, 2);
	assert_string_equal(q->policies[0].name, "inline");
	assert_true(q->policies[1].managed);
	assert_string_equal(q->policies[1].text, POLICY);
	assert_string_equal(q->boundary->name, policy->arn);
	assert_string_equal(q->tags[0].value, "v");
	assert_int_equal(store_iam_delete_policy(f->kmsd.store, policy->arn, &err), -EBUSY);
	assert_int_equal(store_iam_delete(f->kmsd.store, q, &err), -EBUSY);
	assert_string_equal(err.msg, "Cannot delete entity, must delete policies first.");
	assert_int_equal(store_iam_attach(f->kmsd.store, q, "arn:aws:iam::x:policy/none", &err),
			 -ENOENT);
	store_iam_free_policy(policy);
	cached_put(q);
	cached_put(p);
}

static const struct sigv4_scope scope = {"20231114", "us-east-1", "kms"};

static int signer(struct rig *f, const char *id, const char *token, int64_t now_ms,
		  struct signer **ret)
{
	struct err err = {0};

	return callers_signer(f->kmsd.callers, id, token, &scope, now_ms, ret, &err);
}

static void key_of_a_user_signs_until_it_is_inactive(void **state)
{
	struct rig *f = *state;
	struct iam_principal *u = create(f, IAM_USER, "u");
	struct iam_access_key key, third;
	struct secret *secret = NULL, *none = NULL;
	struct signer *s = NULL;
	struct err err = {0};

	assert_int_equal(store_iam_create_key(f->kmsd.store, u, NOW_MS, &key, &secret, &err), 0);
	assert_int_equal(signer(f, key.id, NULL, NOW_MS, &s), 0);
	assert_int_equal(s->caller->kind, CALLER_USER);
	assert_string_equal(s->caller->arn, u->arn);
	assert_string_equal(s->caller->principal_id, u->id);
	cached_put(s);
	assert_int_equal(signer(f, key.id, "token", NOW_MS, &s), -ENOKEY);
	assert_int_equal(store_iam_set_key(f->kmsd.store, u, key.id, false, &err), 0);
	assert_int_equal(signer(f, key.id, NULL, NOW_MS, &s), -ENOKEY);
	assert_int_equal(store_iam_set_key(f->kmsd.store, u, key.id, true, &err), 0);
	rig_close(f);
	rig_open(f);
	assert_int_equal(signer(f, key.id, NULL, NOW_MS, &s), 0);
	cached_put(s);
	secret_free(secret);
	assert_int_equal(store_iam_create_key(f->kmsd.store, u, NOW_MS, &third, &secret, &err), 0);
	assert_int_equal(store_iam_create_key(f->kmsd.store, u, NOW_MS, &third, &none, &err),
			 -EDQUOT);
	assert_int_equal(store_iam_delete_key(f->kmsd.store, u, key.id, &err), 0);
	assert_int_equal(store_iam_delete_key(f->kmsd.store, u, key.id, &err), -ENOENT);
	assert_int_equal(signer(f, key.id, NULL, NOW_MS, &s), -ENOKEY);
	assert_int_equal(store_iam_delete(f->kmsd.store, u, &err), -EBUSY);
	assert_string_equal(err.msg, "Cannot delete entity, must delete access keys first.");
	secret_free(secret);
	cached_put(u);
}

/* A session of @role for an hour; the caller frees. */
static char *issue(struct rig *f, const struct iam_principal *role, char *ret_key_id)
{
	struct session *s = calloc(1, sizeof(*s));
	struct err err = {0};
	char *token = NULL;

	s->kind = CALLER_ROLE;
	strcpy(s->account, ACCOUNT);
	strcpy(s->principal_id, role->id);
	strcpy(s->name, "job");
	s->issued_ms = NOW_MS;
	s->expires_ms = NOW_MS + 3600000;
	s->policies = calloc(2, sizeof(*s->policies));
	s->policies[0].text = strdup(POLICY);
	s->policies[1].name = strdup("arn:aws:iam::" ACCOUNT ":policy/gone");
	s->policy_count = 2;
	s->tags = calloc(1, sizeof(*s->tags));
	s->tags[0] = (struct iam_tag){strdup("k"), strdup("v")};
	s->tag_count = 1;
	assert_int_equal(callers_issue(f->kmsd.callers, s, &token, &err), 0);
	strcpy(ret_key_id, s->access_key_id);
	session_free(s);
	return token;
}

static void token_carries_its_session_until_it_expires(void **state)
{
	struct rig *f = *state;
	struct iam_principal *role = create(f, IAM_ROLE, "r");
	char id[IDS_ACCESS_KEY_LEN + 1], other[IDS_ACCESS_KEY_LEN + 1];
	char *token = issue(f, role, id), *token2 = issue(f, role, other);
	struct signer *s = NULL;

	assert_int_equal(strncmp(id, "ASIA", 4), 0);
	rig_close(f); /* nothing of it is in the store */
	rig_open(f);
	assert_int_equal(signer(f, id, token, NOW_MS, &s), 0);
	assert_string_equal(s->caller->arn, "arn:aws:sts::" ACCOUNT ":assumed-role/r/job");
	assert_string_equal(s->caller->issuer_arn, role->arn);
	assert_string_equal(strchr(s->caller->principal_id, ':'), ":job");
	assert_int_equal(s->caller->session_policy_count, 2);
	assert_string_equal(s->caller->session_policies[0].text, POLICY);
	assert_non_null(strstr(s->caller->session_policies[1].text, "NotAction"));
	assert_int_equal(s->caller->identity->session.count, 2);
	assert_string_equal(s->caller->session_tags[0].value, "v");
	cached_put(s);
	assert_int_equal(signer(f, id, token, NOW_MS + 3600000 - 1, &s), 0);
	cached_put(s);
	assert_int_equal(signer(f, id, token, NOW_MS + 3600000, &s), -EKEYEXPIRED);
	assert_int_equal(signer(f, id, NULL, NOW_MS, &s), -ENOKEY);
	assert_int_equal(signer(f, id, token2, NOW_MS, &s), -ENOKEY);
	assert_int_equal(signer(f, other, token, NOW_MS, &s), -ENOKEY);
	free(token);
	free(token2);
	cached_put(role);
}

static void every_bent_token_is_refused(void **state)
{
	struct rig *f = *state;
	struct iam_principal *role = create(f, IAM_ROLE, "r");
	char id[IDS_ACCESS_KEY_LEN + 1];
	char *token = issue(f, role, id);
	size_t n = strlen(token);
	struct signer *s = NULL;

	for (size_t i = 0; i < n; i++) {
		char was = token[i];

		if (was == '=')
			continue;
		token[i] = was == 'A' ? 'B' : 'A';
		if (i + 2 < n) /* the last characters may have bits that mean nothing */
			assert_int_equal(signer(f, id, token, NOW_MS, &s), -ENOKEY);
		token[i] = was;
	}
	token[n - 4] = '\0';
	assert_int_equal(signer(f, id, token, NOW_MS, &s), -ENOKEY);
	assert_int_equal(signer(f, id, "", NOW_MS, &s), -ENOKEY);
	free(token);
	cached_put(role);
}

static void session_dies_with_its_role(void **state)
{
	struct rig *f = *state;
	struct iam_principal *role = create(f, IAM_ROLE, "r"), *again;
	char id[IDS_ACCESS_KEY_LEN + 1];
	char *token = issue(f, role, id);
	struct signer *s = NULL;
	struct err err = {0};

	assert_int_equal(signer(f, id, token, NOW_MS, &s), 0);
	cached_put(s);
	assert_int_equal(store_iam_delete(f->kmsd.store, role, &err), 0);
	assert_int_equal(signer(f, id, token, NOW_MS, &s), -ENOKEY);
	again = create(f, IAM_ROLE, "r");
	assert_int_equal(signer(f, id, token, NOW_MS, &s), -ENOKEY);
	free(token);
	cached_put(again);
	cached_put(role);
}

/* --- the event history --- */

static void trail(struct rig *f, unsigned from, unsigned count, const char *end)
{
	char path[128];
	FILE *file;

	sprintf(path, "%s/audit.jsonl", f->dir);
	file = fopen(path, "a");
	assert_non_null(file);
	for (unsigned i = from; i < from + count; i++)
		fprintf(file,
			"{\"userIdentity\":{\"type\":\"IAMUser\",\"userName\":\"u%u\","
			"\"accessKeyId\":"
			"\"AKIA%u\"},\"eventTime\":\"2023-11-14T22:13:%02uZ\",\"eventSource\":"
			"\"kms.amazonaws.com\",\"eventName\":\"E%u\",\"eventID\":\"id-%u\","
			"\"recipientAccountId\":\"" ACCOUNT "\",\"awsRegion\":\"eu-west-1\","
			"\"readOnly\":"
			"%s,\"resources\":[{\"type\":\"T\",\"ARN\":\"arn-%u\"}]}%s",
			i % 3, i % 5, i % 60, i % 2, i, i % 4 ? "true" : "false", i % 7, end);
	fclose(file);
}

struct seen {
	char ids[65536];
	unsigned count;
	struct events_place last;
};

static int see(const struct kms_json *record, const char *text, struct events_place place,
	       void *arg)
{
	struct seen *s = arg;

	assert_non_null(strstr(text, events_text(record, "eventID", NULL)));
	strcat(strcat(s->ids, events_text(record, "eventID", NULL)), " ");
	s->count++;
	s->last = place;
	return 0;
}

static unsigned lookup(struct events *ev, enum events_attribute a, const char *value, size_t limit,
		       struct events_place behind, struct seen *ret)
{
	struct events_query q = {.attribute = a,
				 .value = value,
				 .account = ACCOUNT,
				 .region = "eu-west-1",
				 .from = 0,
				 .to = INT64_C(1) << 40,
				 .behind = behind,
				 .limit = limit};
	struct err err = {0};

	memset(ret, 0, sizeof(*ret));
	if (events_lookup(ev, &q, see, ret, &err) < 0)
		fail_msg("%s", err.msg);
	return ret->count;
}

static void history_is_found_by_every_attribute(void **state)
{
	struct rig *f = *state;
	struct seen *s = calloc(1, sizeof(*s));
	struct events *ev = NULL;
	struct err err = {0};

	trail(f, 0, 42, "\n");
	if (events_open(f->dir, f->dir_fd, &ev, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 42);
	assert_int_equal(strncmp(s->ids, "id-41 id-40 ", 12), 0);
	assert_int_equal(lookup(ev, EVENTS_EVENT_ID, "id-7", 100, EVENTS_START, s), 1);
	assert_int_equal(lookup(ev, EVENTS_EVENT_NAME, "E1", 100, EVENTS_START, s), 21);
	assert_int_equal(lookup(ev, EVENTS_READ_ONLY, "false", 100, EVENTS_START, s), 11);
	assert_int_equal(lookup(ev, EVENTS_USERNAME, "u2", 100, EVENTS_START, s), 14);
	assert_int_equal(lookup(ev, EVENTS_RESOURCE_TYPE, "T", 100, EVENTS_START, s), 42);
	assert_int_equal(lookup(ev, EVENTS_RESOURCE_NAME, "arn-6", 100, EVENTS_START, s), 6);
	assert_int_equal(lookup(ev, EVENTS_EVENT_SOURCE, "kms.amazonaws.com", 100, EVENTS_START, s),
			 42);
	assert_int_equal(lookup(ev, EVENTS_ACCESS_KEY_ID, "AKIA4", 100, EVENTS_START, s), 8);
	assert_int_equal(lookup(ev, EVENTS_ACCESS_KEY_ID, "none", 100, EVENTS_START, s), 0);
	events_close(ev);
	free(s);
}

static void pages_follow_each_other_while_more_comes(void **state)
{
	struct rig *f = *state;
	struct seen *s = calloc(1, sizeof(*s));
	struct events_place behind = EVENTS_START;
	struct events *ev = NULL;
	struct err err = {0};
	unsigned total = 0;

	trail(f, 0, 200, "\n"); /* many share a second */
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	while (lookup(ev, EVENTS_ANY, NULL, 7, behind, s) > 0) {
		total += s->count;
		behind = s->last;
		trail(f, 59, 1, "\n"); /* newer than all that is still to come */
	}
	assert_int_equal(total, 200);
	events_close(ev);
	free(s);
}

static void history_goes_on_where_it_was_and_passes_torn_lines(void **state)
{
	struct rig *f = *state;
	struct seen *s = calloc(1, sizeof(*s));
	struct events *ev = NULL;
	struct err err = {0};
	int fd;

	trail(f, 0, 10, "\n");
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 10);
	trail(f, 10, 1, ""); /* not whole yet */
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 10);
	events_close(ev);
	trail(f, 11, 1, "\n"); /* now it is no record, for good */
	trail(f, 12, 5, "\n");
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 15);
	events_close(ev);
	fd = openat(f->dir_fd, "events.sqlite", O_RDWR | O_TRUNC);
	assert_int_equal(write(fd, "this is not a database, however long it is............", 54),
			 54);
	close(fd);
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 15);
	events_close(ev);
	assert_int_equal(unlinkat(f->dir_fd, "audit.jsonl", 0), 0);
	trail(f, 0, 3, "\n");
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 3);
	events_close(ev);
	free(s);
}

static void history_goes_on_over_full_files(void **state)
{
	struct rig *f = *state;
	struct seen *s = calloc(1, sizeof(*s));
	struct events *ev = NULL;
	struct err err = {0};

	trail(f, 0, 10, "\n");
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 10);
	trail(f, 10, 5, "\n"); /* what was written last before it was full */
	assert_int_equal(renameat(f->dir_fd, "audit.jsonl", f->dir_fd, "audit.1.jsonl"), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 15);
	trail(f, 15, 5, "\n");
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 20);
	assert_int_equal(strncmp(s->ids, "id-19 id-18 ", 12), 0);
	assert_int_equal(lookup(ev, EVENTS_EVENT_ID, "id-7", 100, EVENTS_START, s), 1);
	events_close(ev);
	/* While no server runs, one more is full, and the oldest goes. */
	assert_int_equal(renameat(f->dir_fd, "audit.jsonl", f->dir_fd, "audit.2.jsonl"), 0);
	assert_int_equal(unlinkat(f->dir_fd, "audit.1.jsonl", 0), 0);
	trail(f, 20, 5, "\n");
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 10);
	assert_int_equal(strncmp(s->ids, "id-24 ", 6), 0);
	events_close(ev);
	assert_int_equal(unlinkat(f->dir_fd, "events.sqlite", 0), 0);
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	assert_int_equal(lookup(ev, EVENTS_ANY, NULL, 100, EVENTS_START, s), 10);
	events_close(ev);
	assert_int_equal(unlinkat(f->dir_fd, "audit.2.jsonl", 0), 0);
	free(s);
}

static void history_is_of_an_account_and_a_region(void **state)
{
	struct rig *f = *state;
	struct seen *s = calloc(1, sizeof(*s));
	struct events *ev = NULL;
	struct events_query q = {.attribute = EVENTS_ANY,
				 .to = INT64_C(1) << 40,
				 .behind = EVENTS_START,
				 .limit = 100};
	struct err err = {0};

	trail(f, 0, 3, "\n");
	assert_int_equal(events_open(f->dir, f->dir_fd, &ev, &err), 0);
	q.account = ACCOUNT;
	q.region = "us-east-1";
	assert_int_equal(events_lookup(ev, &q, see, s, &err), 0);
	q.account = "444455556666";
	q.region = "eu-west-1";
	assert_int_equal(events_lookup(ev, &q, see, s, &err), 0);
	q.account = ACCOUNT;
	assert_int_equal(events_lookup(ev, &q, see, s, &err), 3);
	events_close(ev);
	free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_are_bound_to_principals_not_names),
		TEST(principal_is_read_whole_and_changes_are_seen),
		TEST(key_of_a_user_signs_until_it_is_inactive),
		TEST(token_carries_its_session_until_it_expires),
		TEST(every_bent_token_is_refused),
		TEST(session_dies_with_its_role),
		TEST(history_is_found_by_every_attribute),
		TEST(pages_follow_each_other_while_more_comes),
		TEST(history_goes_on_where_it_was_and_passes_torn_lines),
		TEST(history_goes_on_over_full_files),
		TEST(history_is_of_an_account_and_a_region),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
