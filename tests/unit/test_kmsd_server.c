/* kmsd without sockets: signed requests through the flow, and the store over restarts and kills. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit.h"
#include "bytes.h"
#include "call.h"
#include "caller.h"
#include "datadir.h"
#include "err.h"
#include "flow.h"
#include "keyring.h"
#include "kms_json.h"
#include "secret.h"

#define NOW_MS INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */
#define DATE   "20231114T221320Z"
#define DAY_MS (24 * 60 * 60 * INT64_C(1000))

struct fixture {
	char dir[64];
	int dir_fd;
	struct kmsd kmsd;
	struct access_key *root;
	int64_t now_ms;
};

static void open_server(struct fixture *f)
{
	struct err err = {0};

	f->kmsd.place = (struct keyref_place){"111122223333", "us-east-1"};
	f->now_ms = NOW_MS;
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
	assert_true(f->dir_fd >= 0);
	if (store_open(f->dir, f->dir_fd, &f->kmsd.store, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(audit_open(f->dir_fd, 0, &f->kmsd.audit, &err), 0);
	assert_int_equal(keyring_new(f->kmsd.store, &f->kmsd.ring, &err), 0);
	assert_int_equal(callers_new(f->kmsd.store, &f->kmsd.callers, &err), 0);
	assert_int_equal(
		store_root_access_key(f->kmsd.store, "111122223333", NOW_MS, &f->root, &err), 0);
}

static void close_server(struct fixture *f)
{
	cached_put(f->root);
	callers_free(f->kmsd.callers);
	keyring_free(f->kmsd.ring);
	audit_close(f->kmsd.audit);
	store_close(f->kmsd.store);
	close(f->dir_fd);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kmsd-test.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	open_server(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"kmsd.sqlite", "kmsd.sqlite-wal", "kmsd.sqlite-shm",
					    "root-key",	   "audit.jsonl",     "credentials",
					    "lock"};
	struct fixture *f = *state;

	close_server(f);
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlinkat(f->dir_fd, names[i], 0);
	close(f->dir_fd);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* What a test bends in an otherwise good request. */
struct bend {
	const char *method, *secret, *date, *day, *region, *service, *key_id, *signed_headers;
	const char *authorization; /* instead of all that */
	int no_authorization;
};

static char *root_secret(struct fixture *f)
{
	char *text = calloc(1, secret_len(f->root->secret) + 1);

	memcpy(text, secret_cbytes(f->root->secret), secret_len(f->root->secret));
	return text;
}

#define OR(a, b) ((a) ? (a) : (b))

static void sign(struct fixture *f, struct sigv4_request *req, const struct bend *b, char *ret)
{
	struct sigv4_scope scope = {OR(b->day, "20231114"), OR(b->region, "us-east-1"),
				    OR(b->service, "kms")};
	struct buf canonical = {.max = 65536}, to_sign = {.max = 65536};
	const char *signed_headers = OR(b->signed_headers, "host;x-amz-date;x-amz-target");
	char *secret = b->secret ? strdup(b->secret) : root_secret(f);
	char hex[SIGV4_HEX_LEN + 1];
	uint8_t key[SIGV4_KEY_LEN];
	struct err err = {0};

	assert_int_equal(sigv4_canonical_request(req, signed_headers, &canonical, &err), 0);
	assert_int_equal(
		sigv4_string_to_sign(OR(b->date, DATE), &scope, &canonical, &to_sign, &err), 0);
	assert_int_equal(sigv4_signing_key(secret, &scope, key, &err), 0);
	assert_int_equal(sigv4_signature(key, (char *)to_sign.bytes, to_sign.len, hex, &err), 0);
	sprintf(ret,
		"AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, "
		"Signature=%s",
		OR(b->key_id, f->root->id), scope.day, scope.region, scope.service, signed_headers,
		hex);
	buf_free(&canonical);
	buf_free(&to_sign);
	free(secret);
}

/* Send it; the reply's body is the caller's to free. */
static unsigned send_bent(struct fixture *f, const char *operation, const char *body,
			  const struct bend *b, char **ret_body)
{
	char target[128], authorization[1024];
	struct sigv4_header headers[] = {{"Host", "127.0.0.1:1"},
					 {"X-Amz-Date", OR(b->date, DATE)},
					 {"X-Amz-Target", target},
					 {"Authorization", authorization}};
	struct flow_request request = {
		.http = {.method = OR(b->method, "POST"),
			 .path = "/",
			 .query = "",
			 .headers = headers,
			 .header_count = 3,
			 .body = body,
			 .body_len = strlen(body)},
		.address = "127.0.0.1",
	};
	struct flow_reply reply;

	sprintf(target, "TrentService.%s", operation);
	sign(f, &request.http, b, authorization);
	if (b->authorization)
		strcpy(authorization, b->authorization);
	request.http.header_count = b->no_authorization ? 3 : 4;
	flow_handle(&f->kmsd, &request, f->now_ms, &reply);
	*ret_body = calloc(1, reply.body_len + 1);
	if (reply.body)
		memcpy(*ret_body, reply.body, reply.body_len);
	assert_int_equal(strlen(reply.request_id), IDS_UUID_LEN);
	flow_reply_free(&reply);
	return reply.status;
}

/* A good request; the reply parsed (NULL for an empty one). */
static struct kms_json *call(struct fixture *f, const char *operation, unsigned want_status,
			     const char *fmt, ...)
{
	static const struct bend straight;
	struct kms_json *v = NULL;
	struct err err = {0};
	char body[16384], *reply;
	unsigned status;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	status = send_bent(f, operation, body, &straight, &reply);
	if (status != want_status)
		fail_msg("%s %s: %u %s", operation, body, status, reply);
	if (*reply)
		assert_int_equal(kms_json_parse(reply, strlen(reply), &v, &err), 0);
	free(reply);
	return v;
}

static void copy_text(const struct kms_json *v, const char *name, char *ret)
{
	strcpy(ret, kms_json_string_value(kms_json_get(v, name)));
}

static void refused(struct fixture *f, const char *type, const char *operation, const char *fmt,
		    const char *arg, const char *arg2)
{
	struct kms_json *v = call(f, operation, 400, fmt, arg, arg2);

	assert_string_equal(kms_json_string_value(kms_json_get(v, "__type")), type);
	kms_json_free(v);
}

static void done(struct fixture *f, const char *operation, const char *fmt, const char *arg)
{
	kms_json_free(call(f, operation, 200, fmt, arg));
}

static void create_key(struct fixture *f, char ret_id[64])
{
	struct kms_json *v = call(f, "CreateKey", 200, "{}");

	copy_text(kms_json_get(v, "KeyMetadata"), "KeyId", ret_id);
	kms_json_free(v);
}

static void encrypt(struct fixture *f, const char *key_id, char *ret_blob)
{
	struct kms_json *v =
		call(f, "Encrypt", 200, "{\"KeyId\":\"%s\",\"Plaintext\":\"aGVsbG8=\"}", key_id);

	copy_text(v, "CiphertextBlob", ret_blob);
	kms_json_free(v);
}

static void decrypts(struct fixture *f, const char *blob)
{
	struct kms_json *v = call(f, "Decrypt", 200, "{\"CiphertextBlob\":\"%s\"}", blob);

	assert_string_equal(kms_json_string_value(kms_json_get(v, "Plaintext")), "aGVsbG8=");
	kms_json_free(v);
}

static void rejected(struct fixture *f, const char *operation, const char *body,
		     const struct bend *b, const char *want)
{
	char *reply;
	unsigned status = send_bent(f, operation, body, b, &reply);

	assert_in_range(status, 400, 404);
	if (!strstr(reply, want))
		fail_msg("reply %s\nlacks %s", reply, want);
	free(reply);
}

static void bad_signatures_get_aws_sentences(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct bend bend;
		const char *want;
	} rows[] = {
		{{.no_authorization = 1},
		 "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":\"Request is "
		 "missing "
		 "Authentication Token\"}"},
		{{.authorization = "Basic eDp5"}, "MissingAuthenticationTokenException"},
		{{.authorization = "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"},
		 "{\"__type\":\"IncompleteSignatureException\",\"message\":\"Authorization header "
		 "requires 'Signature' parameter. Authorization header requires 'SignedHeaders' "
		 "parameter. Authorization=AWS4-HMAC-SHA256 Credential=a/b/c/d/e\"}"},
		{{.date = "yesterday"}, "existence of either a 'X-Amz-Date' or a 'Date' header"},
		{{.authorization =
			  "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"},
		 "Credential must have exactly 5 slash-delimited elements, e.g. "
		 "keyid/date/region/service/term, got 'a/b'"},
		{{.signed_headers = "x-amz-date"}, "'Host' must be a 'SignedHeader' in the AWS"},
		{{.signed_headers = "host;x-amz-date"},
		 "'X-Amz-Target' must be a 'SignedHeader' in the AWS"},
		{{.region = "c"}, "Credential should be scoped to a valid region, not 'c'. "},
		{{.service = "s3"}, "Credential should be scoped to correct service: 'kms'. "},
		{{.day = "20231113"},
		 "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
		 "from "
		 "HTTP: '20231113' != '20231114', from '20231114T221320Z'"},
		{{.date = "20231114T220819Z"},
		 "Signature expired: 20231114T220819Z is now earlier than 20231114T220820Z "
		 "(20231114T221320Z - 5 min.)"},
		{{.date = "20231114T221821Z"},
		 "Signature not yet current: 20231114T221821Z is still later than 20231114T221820Z "
		 "(20231114T221320Z + 5 min.)"},
		{{.key_id = "AKIAAAAAAAAAAAAAAAAA"},
		 "{\"__type\":\"UnrecognizedClientException\",\"message\":\"The security token "
		 "included "
		 "in the request is invalid.\"}"},
		{{.secret = "wrong"},
		 "\"InvalidSignatureException\",\"message\":\"The request signature we calculated "
		 "does "
		 "not match the signature you provided. Check your AWS Secret Access Key and "
		 "signing "
		 "method. Consult the service documentation for details.\\n\\nThe Canonical String "
		 "for "
		 "this request should have been\\n'POST\\n/\\n\\nhost:127.0.0.1:1\\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		rejected(f, "ListKeys", "{}", &rows[i].bend, rows[i].want);
}

static void edges_of_the_five_minutes_pass(void **state)
{
	static const struct bend early = {.date = "20231114T220820Z"},
				 late = {.date = "20231114T221820Z"};
	char *reply;

	assert_int_equal(send_bent(*state, "ListKeys", "{}", &early, &reply), 200);
	free(reply);
	assert_int_equal(send_bent(*state, "ListKeys", "{}", &late, &reply), 200);
	free(reply);
}

static void form_is_checked_before_the_signature(void **state)
{
	static const struct bend wrong = {.secret = "wrong"}, get = {.method = "GET"};

	rejected(*state, "ListKeys", "{", &wrong, "{\"__type\":\"SerializationException\"}");
	rejected(*state, "ListKeys", "[]", &wrong, "SerializationException");
	rejected(*state, "ListKeys", "", &wrong, "SerializationException");
	rejected(*state, "NoSuch", "{}", &wrong, "{\"__type\":\"UnknownOperationException\"}");
	rejected(*state, "ListKeys", "", &get, "UnknownOperationException");
	rejected(*state, "Encrypt", "{}", &wrong, "InvalidSignatureException");
}

static void key_lives_through_all_its_states(void **state)
{
	struct fixture *f = *state;
	char id[64], blob[1024];

	create_key(f, id);
	encrypt(f, id, blob);
	decrypts(f, blob);
	done(f, "DisableKey", "{\"KeyId\":\"%s\"}", id);
	refused(f, "DisabledException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob, NULL);
	done(f, "EnableKey", "{\"KeyId\":\"%s\"}", id);
	decrypts(f, blob);
	done(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id);
	refused(f, "KMSInvalidStateException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob,
		NULL);
	done(f, "CancelKeyDeletion", "{\"KeyId\":\"%s\"}", id);
	refused(f, "DisabledException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob, NULL);
	done(f, "EnableKey", "{\"KeyId\":\"%s\"}", id);
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
	struct fixture *f = *state;
	char id[64], blob[1024], body[1024];

	create_key(f, id);
	encrypt(f, id, blob);
	decrypts(f, blob);
	refused(f, "MalformedPolicyDocumentException", "PutKeyPolicy", gone, id, NULL);
	refused(f, "MalformedPolicyDocumentException", "PutKeyPolicy", locks, id, "");
	decrypts(f, blob);
	done(f, "PutKeyPolicy", no_decrypt, id);
	refused(f, "AccessDeniedException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob, NULL);
	done(f, "DescribeKey", "{\"KeyId\":\"%s\"}", id);
	(void)snprintf(body, sizeof(body), locks, id, ",\"BypassPolicyLockoutSafetyCheck\":true");
	done(f, "PutKeyPolicy", "%s", body);
	refused(f, "AccessDeniedException", "GetKeyPolicy", "{\"KeyId\":\"%s\"}", id, NULL);
	refused(f, "AccessDeniedException", "PutKeyPolicy", no_decrypt, id,
		NULL); /* locked for good */
}

static void key_is_destroyed_when_its_date_has_come(void **state)
{
	struct fixture *f = *state;
	char id[64], blob[1024];
	struct kms_json *v;

	create_key(f, id);
	encrypt(f, id, blob);
	done(f, "CreateAlias", "{\"AliasName\":\"alias/doomed\",\"TargetKeyId\":\"%s\"}", id);
	done(f, "ScheduleKeyDeletion", "{\"KeyId\":\"%s\",\"PendingWindowInDays\":7}", id);
	f->now_ms = NOW_MS; /* the signature's clock stays; the key's comes by keyring_expire() */
	assert_int_equal(keyring_expire(f->kmsd.ring, NOW_MS + 7 * DAY_MS - 1, NULL), 0);
	done(f, "DescribeKey", "{\"KeyId\":\"%s\"}", id);
	assert_int_equal(keyring_expire(f->kmsd.ring, NOW_MS + 7 * DAY_MS, NULL), 0);
	refused(f, "NotFoundException", "DescribeKey", "{\"KeyId\":\"%s\"}", id, NULL);
	refused(f, "NotFoundException", "DescribeKey", "{\"KeyId\":\"alias/doomed\"}", id, NULL);
	refused(f, "AccessDeniedException", "Decrypt", "{\"CiphertextBlob\":\"%s\"}", blob, NULL);
	v = call(f, "ListAliases", 200, "{}");
	/* What is left are those of AWS, which every account has. */
	assert_int_equal(kms_json_count(kms_json_get(v, "Aliases")), 2);
	kms_json_free(v);
}

static void named_key_must_be_that_of_the_blob(void **state)
{
	struct fixture *f = *state;
	char a[64], b[64], blob[1024];

	create_key(f, a);
	create_key(f, b);
	encrypt(f, a, blob);
	refused(f, "IncorrectKeyException", "Decrypt",
		"{\"CiphertextBlob\":\"%s\",\"KeyId\":\"%s\"}", blob, b);
	done(f, "DisableKey", "{\"KeyId\":\"%s\"}", a);
	refused(f, "IncorrectKeyException", "Decrypt",
		"{\"CiphertextBlob\":\"%s\",\"KeyId\":\"%s\"}", blob, b);
	/* a disabled key hides that the context is wrong */
	refused(f, "DisabledException", "Decrypt",
		"{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"b\"}}", blob, NULL);
}

static void alias_follows_its_key_and_is_refused_by_management(void **state)
{
	struct fixture *f = *state;
	char a[64], b[64];
	struct kms_json *v;

	create_key(f, a);
	create_key(f, b);
	done(f, "CreateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", a);
	refused(f, "AlreadyExistsException", "CreateAlias",
		"{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", a, NULL);
	refused(f, "NotFoundException", "EnableKey", "{\"KeyId\":\"alias/x\"}", NULL, NULL);
	done(f, "UpdateAlias", "{\"AliasName\":\"alias/x\",\"TargetKeyId\":\"%s\"}", b);
	v = call(f, "DescribeKey", 200,
		 "{\"KeyId\":\"arn:aws:kms:us-east-1:111122223333:alias/x\"}");
	assert_string_equal(
		kms_json_string_value(kms_json_get(kms_json_get(v, "KeyMetadata"), "KeyId")), b);
	kms_json_free(v);
	done(f, "DeleteAlias", "{\"AliasName\":\"alias/%s\"}", "x");
	refused(f, "NotFoundException", "DeleteAlias", "{\"AliasName\":\"alias/x\"}", NULL, NULL);
}

static void lists_come_in_pages(void **state)
{
	struct fixture *f = *state;
	char id[64], marker[64] = "";
	unsigned seen = 0;

	for (int i = 0; i < 5; i++)
		create_key(f, id);
	for (int page = 0; page < 3; page++) {
		struct kms_json *v = call(f, "ListKeys", 200, "{\"Limit\":2%s%s%s}",
					  page ? ",\"Marker\":\"" : "", marker, page ? "\"" : "");

		seen += (unsigned)kms_json_count(kms_json_get(v, "Keys"));
		assert_int_equal(kms_json_bool_value(kms_json_get(v, "Truncated")), page < 2);
		if (page < 2)
			copy_text(v, "NextMarker", marker);
		kms_json_free(v);
	}
	assert_int_equal(seen, 5);
	refused(f, "InvalidMarkerException", "ListKeys", "{\"Marker\":\"garbage\"}", NULL, NULL);
}

static void dry_run_does_nothing_but_say_it_would(void **state)
{
	struct fixture *f = *state;
	char id[64];

	create_key(f, id);
	refused(f, "DryRunOperationException", "GenerateDataKey",
		"{\"KeyId\":\"%s\",\"NumberOfBytes\":32,\"DryRun\":true}", id, NULL);
	done(f, "DisableKey", "{\"KeyId\":\"%s\"}", id);
	refused(f, "DisabledException", "GenerateDataKey",
		"{\"KeyId\":\"%s\",\"NumberOfBytes\":32,\"DryRun\":true}", id, NULL);
}

static void audit_has_a_line_a_request_and_no_secret(void **state)
{
	struct fixture *f = *state;
	char id[64], blob[1024], path[128], *text = calloc(1, 1 << 20);
	struct kms_json *v;
	unsigned lines = 0;
	FILE *file;
	size_t n;

	create_key(f, id);
	encrypt(f, id, blob);
	decrypts(f, blob);
	v = call(f, "GenerateDataKey", 200, "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"}", id);
	sprintf(path, "%s/audit.jsonl", f->dir);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, (1 << 20) - 1, file);
	fclose(file);
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	assert_int_equal(lines, 4);
	assert_non_null(strstr(text, "\"eventName\":\"Decrypt\""));
	assert_non_null(strstr(text, "\"encryptionAlgorithm\":\"SYMMETRIC_DEFAULT\""));
	assert_null(strstr(text, "aGVsbG8="));
	assert_null(strstr(text, blob));
	assert_null(strstr(text, kms_json_string_value(kms_json_get(v, "Plaintext"))));
	kms_json_free(v);
	free(text);
}

static void all_is_there_after_reopening(void **state)
{
	struct fixture *f = *state;
	char id[64], blob[1024], access_id[32];

	create_key(f, id);
	encrypt(f, id, blob);
	done(f, "CreateAlias", "{\"AliasName\":\"alias/kept\",\"TargetKeyId\":\"%s\"}", id);
	strcpy(access_id, f->root->id);
	close_server(f);
	open_server(f);
	assert_string_equal(f->root->id, access_id);
	decrypts(f, blob);
	done(f, "DescribeKey", "{\"KeyId\":\"alias/kept\"}", NULL);
}

/* Readers that ask again and again, and what they may see at the moment. */
struct readers {
	struct fixture *f;
	char body[2048];
	atomic_uint
		turn; /* odd: the key is being changed; 0, 4, 8...: enabled; 2, 6...: disabled */
	atomic_uint wrong, right;
	atomic_bool stop;
};

static void *read_on(void *arg)
{
	static const struct bend straight;
	struct readers *r = arg;

	while (!atomic_load(&r->stop)) {
		unsigned before = atomic_load(&r->turn);
		char *reply;
		unsigned status = send_bent(r->f, "Decrypt", r->body, &straight, &reply);

		free(reply);
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
	char id[64], blob[1024];

	create_key(r.f, id);
	encrypt(r.f, id, blob);
	sprintf(r.body, "{\"CiphertextBlob\":\"%s\"}", blob);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
	for (int i = 0; i < 60; i++) {
		atomic_fetch_add(&r.turn, 1);
		done(r.f, i % 2 ? "EnableKey" : "DisableKey", "{\"KeyId\":\"%s\"}", id);
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
static void write_until_killed(struct fixture *f, int out)
{
	open_server(f);
	for (;;) {
		char id[64];

		create_key(f, id);
		if (write(out, id, IDS_UUID_LEN) != IDS_UUID_LEN)
			_exit(1);
	}
}

static void what_was_acknowledged_survives_kill(void **state)
{
	struct fixture *f = *state;
	unsigned total = 0;

	for (int round = 0; round < 5; round++) {
		char id[IDS_UUID_LEN + 1] = "";
		int fds[2];
		pid_t pid;

		close_server(f);
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			write_until_killed(f, fds[1]);
		close(fds[1]);
		usleep((useconds_t)(20000 + 17000 * round));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		open_server(f);
		while (read(fds[0], id, IDS_UUID_LEN) == IDS_UUID_LEN) {
			char blob[1024];

			encrypt(f, id, blob);
			decrypts(f, blob);
			total++;
		}
		close(fds[0]);
	}
	assert_true(total > 0);
}

static void another_root_key_is_refused(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_signatures_get_aws_sentences),
		TEST(edges_of_the_five_minutes_pass),
		TEST(form_is_checked_before_the_signature),
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
