/* A whole kmsd without sockets: keys through their lives, and the store over restarts and kills. */
#include "kmsd_rig.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "datadir.h"

static void decrypts(struct rig *f, const char *blob)
{
	struct kms_json *v = rig_call(f, f->root, "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob);

	assert_string_equal(rig_text(v, "Plaintext"), "aGVsbG8=");
	kms_json_free(v);
}

static void key_lives_through_all_its_states(void **state)
{
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, id);
	rig_encrypt(f, id, "{}", blob);
	decrypts(f, blob);
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", id);
	rig_refused(f, f->root, "DisabledException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}",
		    blob);
	rig_do(f, "EnableKey", "{\"KeyId\":\"%s\"}", id);
	decrypts(f, blob);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id);
	rig_refused(f, f->root, "KMSInvalidStateException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\"}", blob);
	rig_do(f, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id);
	rig_refused(f, f->root, "DisabledException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}",
		    blob);
	rig_do(f, "EnableKey", "{\"KeyId\":\"%s\"}", id);
	decrypts(f, blob);
}

static void a_new_policy_decides_from_the_next_request_on(void **state)
{
	static const char no_decrypt[] =
		"{\"KeyId\":\"%s\",\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\","
		"\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{"
		"\\\"AWS\\\":\\\"111122223333\\\"},\\\"NotAction\\\":\\\"kms:Decrypt\\\","
		"\\\"Resource\\\":\\\"*\\\"}]}\"}";
	static const char locks[] =
		"{\"KeyId\":\"%s\",\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\","
		"\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{"
		"\\\"AWS\\\":\\\"123456789012\\\"},\\\"Action\\\":\\\"kms:*\\\","
		"\\\"Resource\\\":\\\"*\\\"}]}\"%s}";
	static const char gone[] =
		"{\"KeyId\":\"%s\",\"Policy\":\"{\\\"Version\\\":\\\"2012-10-17\\\","
		"\\\"Statement\\\":[{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":{"
		"\\\"AWS\\\":\\\"arn:aws:iam::111122223333:user/gone\\\"},\\\"Action\\\":"
		"\\\"kms:*\\\",\\\"Resource\\\":\\\"*\\\"}]}\"}";
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX], blob[1024], body[1024];

	rig_key(f, id);
	rig_encrypt(f, id, "{}", blob);
	decrypts(f, blob);
	rig_refused(f, f->root, "MalformedPolicyDocumentException", "PutKeyPolicy", gone, id);
	rig_refused(f, f->root, "MalformedPolicyDocumentException", "PutKeyPolicy", locks, id, "");
	decrypts(f, blob);
	rig_do(f, "PutKeyPolicy", no_decrypt, id);
	rig_refused(f, f->root, "AccessDeniedException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}",
		    blob);
	rig_do(f, "DescribeKey", "{\"KeyId\":\"%s\"}", id);
	(void)snprintf(body, sizeof(body), locks, id, ",\"BypassPolicyLockoutSafetyCheck\":true");
	rig_do(f, "PutKeyPolicy", "%s", body);
	rig_refused(f, f->root, "AccessDeniedException", "GetKeyPolicy", "{\"KeyId\":\"%s\"}", id);
	rig_refused(f, f->root, "AccessDeniedException", "PutKeyPolicy", no_decrypt,
		    id);				    /* locked for good */
	rig_do(f, "ListAliases", "{\"KeyId\":\"%s\"}", id); /* IAM's matter alone */
}

static void key_is_destroyed_when_its_date_has_come(void **state)
{
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX], blob[1024];
	struct kms_json *v;

	rig_key(f, id);
	rig_encrypt(f, id, "{}", blob);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/doomed\",\"TargetKeyId\":\"%s\"}", id);
	rig_do(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id);
	f->now_ms =
		RIG_NOW_MS; /* the signature's clock stays; the key's comes by keyring_expire() */
	assert_int_equal(keyring_expire(f->kmsd.ring, RIG_NOW_MS + 7 * RIG_DAY_MS - 1, NULL), 0);
	rig_do(f, "DescribeKey", "{\"KeyId\":\"%s\"}", id);
	assert_int_equal(keyring_expire(f->kmsd.ring, RIG_NOW_MS + 7 * RIG_DAY_MS, NULL), 0);
	rig_refused(f, f->root, "NotFoundException", "DescribeKey", "{\"KeyId\":\"%s\"}", id);
	rig_refused(f, f->root, "NotFoundException", "DescribeKey", "{\"KeyId\":\"alias/doomed\"}",
		    id);
	rig_refused(f, f->root, "AccessDeniedException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}",
		    blob);
	v = rig_call(f, f->root, "ListAliases", "{}");
	/* What is left are those of AWS, which every account has. */
	assert_int_equal(kms_json_count(kms_json_get(v, "Aliases")), 2);
	kms_json_free(v);
}

static void named_key_must_be_that_of_the_blob(void **state)
{
	struct rig *f = *state;
	char a[KEYREF_ARN_MAX], b[KEYREF_ARN_MAX], blob[1024];

	rig_key(f, a);
	rig_key(f, b);
	rig_encrypt(f, a, "{}", blob);
	rig_refused(f, f->root, "IncorrectKeyException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"%s\"}", blob, b);
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", a);
	rig_refused(f, f->root, "IncorrectKeyException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"%s\"}", blob, b);
	/* a disabled key hides that the context is wrong */
	rig_refused(f, f->root, "DisabledException", "Decrypt",
		    "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"b\"}}", blob);
}

static void alias_follows_its_key_and_is_refused_by_management(void **state)
{
	struct rig *f = *state;
	char a[KEYREF_ARN_MAX], b[KEYREF_ARN_MAX];
	struct kms_json *v;

	rig_key(f, a);
	rig_key(f, b);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", a);
	rig_refused(f, f->root, "AlreadyExistsException", "CreateAlias",
		    "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", a);
	rig_refused(f, f->root, "NotFoundException", "EnableKey", "{\"KeyId\":\"alias/x\"}");
	rig_do(f, "UpdateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", b);
	v = rig_call(f, f->root, "DescribeKey",
		     "{\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:alias/x\"}");
	assert_string_equal(rig_text(kms_json_get(v, "KeyMetadata"), "Arn"), b);
	kms_json_free(v);
	rig_do(f, "DeleteAlias", "{\"AliasName\":\"alias/%s\"}", "x");
	rig_refused(f, f->root, "NotFoundException", "DeleteAlias", "{\"AliasName\":\"alias/x\"}");
}

static void lists_come_in_pages(void **state)
{
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX], marker[KEYREF_ARN_MAX] = "";
	unsigned seen = 0;

	for (int i = 0; i < 5; i++)
		rig_key(f, id);
	for (int page = 0; page < 3; page++) {
		struct kms_json *v =
			rig_call(f, f->root, "ListKeys", "{\"Limit\":2%s%s%s}",
				 page ? ",\"Marker\":\"" : "", marker, page ? "\"" : "");

		seen += (unsigned)kms_json_count(kms_json_get(v, "Keys"));
		assert_int_equal(kms_json_bool_value(kms_json_get(v, "Truncated")), page < 2);
		if (page < 2)
			strcpy(marker, rig_text(v, "NextMarker"));
		kms_json_free(v);
	}
	assert_int_equal(seen, 5);
	rig_refused(f, f->root, "InvalidMarkerException", "ListKeys", "{\"Marker\":\"garbage\"}");
}

static void dry_run_does_nothing_but_say_it_would(void **state)
{
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX];

	rig_key(f, id);
	rig_refused(f, f->root, "DryRunOperationException", "GenerateDataKey",
		    "{\"KeyId\":\"%s\",\"NumberOfBytes\":32,\"DryRun\":true}", id);
	rig_do(f, "DisableKey", "{\"KeyId\":\"%s\"}", id);
	rig_refused(f, f->root, "DisabledException", "GenerateDataKey",
		    "{\"KeyId\":\"%s\",\"NumberOfBytes\":32,\"DryRun\":true}", id);
}

static void audit_has_a_line_a_request_and_no_secret(void **state)
{
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX], blob[1024], path[128], *text = calloc(1, 1 << 20);
	struct kms_json *v;
	unsigned lines = 0;
	FILE *file;
	size_t n;

	rig_key(f, id);
	rig_encrypt(f, id, "{}", blob);
	decrypts(f, blob);
	v = rig_call(f, f->root, "GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"}",
		     id);
	rig_refused(f, f->root, "NotFoundException", "DescribeKey", "{\"KeyId\":\"nope\"}");
	sprintf(path, "%s/audit.jsonl", f->dir);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, (1 << 20) - 1, file);
	fclose(file);
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, 5);
	assert_non_null(strstr(text, "\"eventName\":\"Decrypt\""));
	assert_non_null(strstr(text, "\"errorMessage\":\"Invalid keyId 'nope'\","
				     "\"requestParameters\":null,"));
	assert_non_null(strstr(text, "\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\""));
	assert_null(strstr(text, "aGVsbG8="));
	assert_null(strstr(text, blob));
	assert_null(strstr(text, kms_json_string_value(kms_json_get(v, "Plaintext"))));
	kms_json_free(v);
	free(text);
}

static void all_is_there_after_reopening(void **state)
{
	struct rig *f = *state;
	char id[KEYREF_ARN_MAX], blob[1024], access_id[32];

	rig_key(f, id);
	rig_encrypt(f, id, "{}", blob);
	rig_do(f, "CreateAlias", "{\"AliasName\":\"alias/kept\",\"TargetKeyId\":\"%s\"}", id);
	strcpy(access_id, f->root->id);
	rig_close(f);
	rig_open(f);
	assert_string_equal(f->root->id, access_id);
	decrypts(f, blob);
	rig_do(f, "DescribeKey", "{\"KeyId\":\"alias/kept\"}");
}

/* Readers that ask again and again, and what they may see at the moment. */
struct readers {
	struct rig *f;
	char body[2048];
	atomic_uint
		turn; /* odd: the key is being changed; 0, 4, 8...: enabled; 2, 6...: disabled */
	atomic_uint wrong, right;
	atomic_bool stop;
};

static void *read_on(void *arg)
{
	struct readers *r = arg;

	while (!atomic_load(&r->stop)) {
		unsigned before = atomic_load(&r->turn);
		struct kms_json *reply;
		unsigned status = rig_send(r->f, r->f->root, "Decrypt", r->body, &reply);

		kms_json_free(reply);
		if (before % 2 == 1 || before != atomic_load(&r->turn))
			continue;
		if (status == (before % 4 == 0 ? 200 : 400))
			atomic_fetch_add(&r->right, 1);
		else
			atomic_fetch_add(&r->wrong, 1);
	}
	return NULL;
}

static void acknowledged_change_is_seen_by_all_that_begins_later(void **state)
{
	struct readers r = {.f = *state};
	pthread_t threads[3];
	char id[KEYREF_ARN_MAX], blob[1024];

	rig_key(r.f, id);
	rig_encrypt(r.f, id, "{}", blob);
	sprintf(r.body, "{\"CiphertextBlob\":\"%s\"}", blob);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
	for (int i = 0; i < 60; i++) {
		atomic_fetch_add(&r.turn, 1);
		rig_do(r.f, i % 2 ? "EnableKey" : "DisableKey", "{\"KeyId\":\"%s\"}", id);
		atomic_fetch_add(&r.turn, 1);
		usleep(1000);
	}
	atomic_store(&r.stop, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&r.wrong), 0);
	assert_true(atomic_load(&r.right) > 60);
}

/* A child makes keys, tells each that was acknowledged, and is killed at some moment. */
static void write_until_killed(struct rig *f, int out)
{
	rig_open(f);
	for (;;) {
		char id[KEYREF_ARN_MAX];

		rig_key(f, id);
		if (write(out, strrchr(id, '/') + 1, IDS_UUID_LEN) != IDS_UUID_LEN)
			_exit(1);
	}
}

static void what_was_acknowledged_survives_kill(void **state)
{
	struct rig *f = *state;
	unsigned total = 0;

	for (int round = 0; round < 5; round++) {
		char id[IDS_UUID_LEN + 1] = "";
		int fds[2];
		pid_t pid;

		rig_close(f);
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(f, fds[1]);
		close(fds[1]);
		usleep((useconds_t)(20000 + 17000 * round));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		rig_open(f);
		while (read(fds[0], id, IDS_UUID_LEN) == IDS_UUID_LEN) {
			char blob[1024];

			rig_encrypt(f, id, "{}", blob);
			decrypts(f, blob);
			total++;
		}
		close(fds[0]);
	}
	assert_true(total > 0);
}

static void another_root_key_is_refused(void **state)
{
	struct rig *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	char keep[32];
	int fd = openat(f->dir_fd, "root-key", O_RDWR);

	assert_int_equal(read(fd, keep, 32), 32);
	assert_int_equal(pwrite(fd, "x", 1, 5), 1);
	assert_int_equal(store_open(f->dir, f->dir_fd, &store, &err), -EUCLEAN);
	assert_non_null(strstr(err.msg, "'root-key' is not the one"));
	assert_int_equal(unlinkat(f->dir_fd, "root-key", 0), 0);
	assert_int_equal(store_open(f->dir, f->dir_fd, &store, &err), -ENOENT);
	close(fd);
	fd = openat(f->dir_fd, "root-key", O_RDWR | O_CREAT, 0644);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(write(fd, keep, 32), 32);
	assert_int_equal(store_open(f->dir, f->dir_fd, &store, &err), -EACCES);
	assert_int_equal(fchmod(fd, 0600), 0);
	assert_int_equal(store_open(f->dir, f->dir_fd, &store, &err), 0);
	store_close(store);
	close(fd);
}

static void second_server_on_a_directory_is_refused(void **state)
{
	struct rig *f = *state;
	struct err err = {0};
	pid_t pid;
	int fd, status;

	pid = fork();
	if (pid == 0) { /* the lock lives as long as the process: take it in one that ends */
		if (datadir_open(f->dir, &fd, &err) < 0)
			_exit(1);
		_exit(datadir_open(f->dir, &fd, &err) == -EBUSY &&
				      strcmp(err.msg, "another kmsd is running on it") == 0
			      ? 0
			      : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(key_lives_through_all_its_states),
		TEST(a_new_policy_decides_from_the_next_request_on),
		TEST(key_is_destroyed_when_its_date_has_come),
		TEST(named_key_must_be_that_of_the_blob),
		TEST(alias_follows_its_key_and_is_refused_by_management),
		TEST(lists_come_in_pages),
		TEST(dry_run_does_nothing_but_say_it_would),
		TEST(audit_has_a_line_a_request_and_no_secret),
		TEST(all_is_there_after_reopening),
		TEST(acknowledged_change_is_seen_by_all_that_begins_later),
		TEST(what_was_acknowledged_survives_kill),
		TEST(another_root_key_is_refused),
		TEST(second_server_on_a_directory_is_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
