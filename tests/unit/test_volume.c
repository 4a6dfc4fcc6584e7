/* volume.json: what is written is read back, what is wrong is refused with a sentence, and no
 * member can be changed without the seal breaking. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"
#include "volume.h"
#include "volume_seal.h"

#define ID  "vol-0123456789abcdef0"
#define ARN "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

struct fixture {
	char dir[64];
	struct secret *data_key;
	struct volume_header *header;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err;

	assert_non_null(f);
	strcpy(f->dir, "/tmp/test_volume.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(secret_new(STORE_DATA_KEY_LEN, &f->data_key, &err), 0);
	for (size_t i = 0; i < STORE_DATA_KEY_LEN; i++)
		secret_bytes(f->data_key)[i] = (uint8_t)i;
	f->header = calloc(1, sizeof(*f->header));
	assert_non_null(f->header);
	f->header->geometry = (struct store_geometry){
		.size_bytes = 1 << 30,
		.block_size = 4096,
		.cipher = BLOCKCRYPT_AES_256_XTS,
		.segment_size = 64 << 20,
		.volume_id = ID,
		.lineage = {{"vol-00000000000000001", 7}, {"vol-00000000000000002", 1000}},
		.lineage_count = 2};
	assert_int_equal(store_geometry_check(&f->header->geometry, &err), 0);
	strcpy(f->header->key_arn, ARN);
	f->header->wrapped_key.bytes = malloc(200);
	f->header->wrapped_key.len = 200;
	memset(f->header->wrapped_key.bytes, 7, 200);
	assert_int_equal(volume_header_add_pair(f->header, "aws:ebs:id", ID, &err), 0);
	assert_int_equal(volume_header_add_pair(f->header, "purpose", "test \"1\"", &err), 0);
	assert_int_equal(volume_header_add_pair(f->header, "app", "db", &err), 0);
	f->header->created = 1769903999;
	assert_int_equal(volume_seal_set(f->header, f->data_key, &err), 0);
	assert_int_equal(volume_header_save(f->header, f->dir, &err), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char path[128];

	for (const char *const *name = (const char *const[]){"volume.json", "lock", NULL}; *name;
	     name++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, *name);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0); /* also: nothing else was left there */
	secret_free(f->data_key);
	volume_header_free(f->header);
	free(f);
	return 0;
}

/* The header of the fixture as a JSON object; the caller frees. */
static struct kms_json *load_json(struct fixture *f)
{
	char path[128], text[8192];
	struct kms_json *obj = NULL;
	struct err err;
	FILE *in;
	size_t n;

	(void)snprintf(path, sizeof(path), "%s/volume.json", f->dir);
	in = fopen(path, "r");
	assert_non_null(in);
	n = fread(text, 1, sizeof(text), in);
	fclose(in);
	assert_int_equal(kms_json_parse(text, n, &obj, &err), 0);
	return obj;
}

static int parse_json(const struct kms_json *obj, struct volume_header **ret, struct err *err)
{
	char *text = kms_json_text(obj);
	int r;

	assert_non_null(text);
	r = volume_header_parse(text, strlen(text), ret, err);
	free(text);
	return r;
}

static void written_header_reads_back(void **state)
{
	struct fixture *f = *state;
	struct volume_header *h = NULL;
	struct err err;

	assert_int_equal(volume_header_load(f->dir, &h, &err), 0);
	assert_memory_equal(&h->geometry, &f->header->geometry, sizeof(h->geometry));
	assert_string_equal(h->key_arn, ARN);
	assert_int_equal(h->wrapped_key.len, 200);
	assert_memory_equal(h->wrapped_key.bytes, f->header->wrapped_key.bytes, 200);
	assert_int_equal(h->pair_count, 3);
	assert_string_equal(h->pairs[0].name, "aws:ebs:id");
	assert_string_equal(h->pairs[0].value, ID);
	assert_string_equal(h->pairs[1].value, "test \"1\"");
	assert_string_equal(h->parent_snapshot, "");
	assert_true(h->created == 1769903999);
	assert_memory_equal(h->mac, f->header->mac, VOLUME_MAC_LEN);
	assert_int_equal(volume_seal_check(h, f->data_key, &err), 0);
	volume_header_free(h);
}

static void parent_snapshot_reads_back(void **state)
{
	struct fixture *f = *state;
	struct volume_header *h = NULL;
	struct err err;

	strcpy(f->header->parent_snapshot, "snap-0123456789abcdef0");
	assert_int_equal(volume_seal_set(f->header, f->data_key, &err), 0);
	assert_int_equal(volume_header_save(f->header, f->dir, &err), 0);
	assert_int_equal(volume_header_load(f->dir, &h, &err), 0);
	assert_string_equal(h->parent_snapshot, "snap-0123456789abcdef0");
	assert_int_equal(volume_seal_check(h, f->data_key, &err), 0);
	volume_header_free(h);
}

/* The vector comes from a second program, written in Python from the text of volume_seal.h alone. */
static void mac_is_as_documented(void **state)
{
	struct fixture *f = *state;
	char hex[2 * VOLUME_MAC_LEN + 1];

	bytes_to_hex(f->header->mac, VOLUME_MAC_LEN, hex);
	assert_string_equal(hex,
			    "1b6bc2285a4976995478dd771b1bfb44dd564be024b251adff6ec40f82cbc1ef");
}

/* One change of one member: none may pass the seal. */
struct edit {
	const char *member;
	const char *json; /* its new value */
};

static void seal_breaks_when_a_member_is_edited(void **state)
{
	static const struct edit edits[] = {
		{"size_bytes", "2147483648"},
		{"block_size", "8192"},
		{"segment_size", NULL}, /* doubled */
		{"cipher", "\"aes-256-gcm\""},
		{"key_arn", "\"arn:aws:kms:eu-central-1:123456789012:key/x\""},
		{"encryption_context", "{\"aws:ebs:id\":\"" ID "\",\"purpose\":\"test 2\"}"},
		{"encryption_context", "{\"aws:ebs:id\":\"" ID "\"}"},
		{"wrapped_data_key", "\"AAAA\""},
		{"parent_snapshot", "\"snap-0123456789abcdef0\""},
		{"created", "\"2026-01-31T23:59:58Z\""},
		{"lineage", "[]"},
		{"lineage", "[{\"volume_id\":\"vol-00000000000000001\",\"below\":7}]"},
		{"lineage", "[{\"volume_id\":\"vol-00000000000000001\",\"below\":7},"
			    "{\"volume_id\":\"vol-00000000000000002\",\"below\":1001}]"},
		{"lineage", "[{\"volume_id\":\"vol-00000000000000003\",\"below\":7},"
			    "{\"volume_id\":\"vol-00000000000000002\",\"below\":1000}]"},
		{"previous_data_key", "{\"wrapped_data_key\":\"AAAA\"}"},
		{"mac", "\"0000000000000000000000000000000000000000000000000000000000000000\""},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(edits) / sizeof(*edits); i++) {
		struct kms_json *obj = load_json(f), *value = NULL;
		struct volume_header *h = NULL;
		struct err err;

		if (edits[i].json)
			assert_int_equal(kms_json_parse_any(edits[i].json, strlen(edits[i].json),
							    &value, &err),
					 0);
		if (edits[i].json)
			assert_int_equal(kms_json_set(obj, edits[i].member, value), 0);
		else
			assert_int_equal(kms_json_set_u64(obj, edits[i].member,
							  2 * f->header->geometry.segment_size),
					 0);
		if (parse_json(obj, &h, &err) < 0)
			fail_msg("%s: %s", edits[i].member, err.msg);
		assert_int_equal(volume_seal_check(h, f->data_key, &err), -EBADMSG);
		assert_non_null(strstr(err.msg, "its MAC is wrong"));
		volume_header_free(h);
		kms_json_free(obj);
	}
}

/* The id stands in two places, which must agree; both edited, the seal breaks. */
static void seal_breaks_when_the_id_is_edited(void **state)
{
	struct fixture *f = *state;
	struct kms_json *obj = load_json(f);
	struct volume_header *h = NULL;
	struct err err;

	assert_int_equal(kms_json_set_str(obj, "id", "vol-1123456789abcdef0"), 0);
	assert_int_equal(parse_json(obj, &h, &err), -EUCLEAN);
	assert_non_null(strstr(err.msg, "does not bind 'aws:ebs:id' to the volume's id"));
	assert_int_equal(kms_json_set_str(kms_json_get(obj, "encryption_context"), "aws:ebs:id",
					  "vol-1123456789abcdef0"),
			 0);
	assert_int_equal(parse_json(obj, &h, &err), 0);
	assert_int_equal(volume_seal_check(h, f->data_key, &err), -EBADMSG);
	volume_header_free(h);
	kms_json_free(obj);
}

/* Order of pairs does not matter to KMS, so it does not to the seal. */
static void seal_does_not_depend_on_order_of_pairs(void **state)
{
	struct fixture *f = *state;
	struct kms_pair swap = f->header->pairs[1];
	struct err err;

	f->header->pairs[1] = f->header->pairs[2];
	f->header->pairs[2] = swap;
	assert_int_equal(volume_seal_check(f->header, f->data_key, &err), 0);
}

static void seal_breaks_under_another_key(void **state)
{
	struct fixture *f = *state;
	struct err err;

	secret_bytes(f->data_key)[63] ^= 1;
	assert_int_equal(volume_seal_check(f->header, f->data_key, &err), -EBADMSG);
}

struct bad {
	const char *member;
	const char *json; /* NULL: the member is removed */
	int num;
	const char *sentence; /* a part of it */
};

static const struct bad bads[] = {
	{"format", NULL, EUCLEAN, "not the header of a volume"},
	{"format", "\"luks\"", EUCLEAN, "not the header of a volume"},
	{"format", "1", EUCLEAN, "not the header of a volume"},
	{"format_version", NULL, EUCLEAN, "member 'format_version' is missing"},
	{"format_version", "\"1\"", EUCLEAN, "member 'format_version' is of type string"},
	{"format_version", "0", EUCLEAN, "member 'format_version' is 0"},
	{"format_version", "-1", EUCLEAN, "member 'format_version' is negative"},
	{"format_version", "2", ENOTSUP, "written by a newer kmsvol (format 2), this one reads 1"},
	{"id", NULL, EUCLEAN, "member 'id' is missing"},
	{"id", "\"vol-1\"", EUCLEAN, "member 'id' is not 'vol-' or 'snap-' and 17 hex digits"},
	{"id", "\"vol-0123456789ABCDEF0\"", EUCLEAN, "member 'id' is not"},
	{"id", "\"../0123456789abcdef0\"", EUCLEAN, "member 'id' is not"},
	{"id", "\"vol-0123456789abcdef0\\u0000\"", EUCLEAN, "member 'id' has a NUL"},
	{"size_bytes", NULL, EUCLEAN, "member 'size_bytes' is missing"},
	{"size_bytes", "0", EUCLEAN, "size"},
	{"size_bytes", "1073741825", EUCLEAN, "size"},
	{"size_bytes", "-4096", EUCLEAN, "member 'size_bytes' is negative"},
	{"size_bytes", "70368744181760", EUCLEAN, "size"},
	{"size_bytes", "1e9", EUCLEAN, "member 'size_bytes' is of type number"},
	{"block_size", NULL, EUCLEAN, "member 'block_size' is missing"},
	{"block_size", "0", EUCLEAN, "block_size"},
	{"block_size", "6000", EUCLEAN, "block"},
	{"block_size", "4294971392", EUCLEAN, "block_size"}, /* 4096 in 32 bits */
	{"segment_size", NULL, EUCLEAN, "member 'segment_size' is missing"},
	{"segment_size", "0", EUCLEAN, "member 'segment_size' is 0"},
	{"cipher", NULL, EUCLEAN, "member 'cipher' is missing"},
	{"cipher", "\"rot13\"", EUCLEAN, "names no cipher known here: 'rot13'"},
	{"key_arn", NULL, EUCLEAN, "member 'key_arn' is missing"},
	{"key_arn", "\"alias/x\"", EUCLEAN, "member 'key_arn' is no ARN"},
	{"encryption_context", NULL, EUCLEAN, "member 'encryption_context' is missing"},
	{"encryption_context", "[]", EUCLEAN, "member 'encryption_context' is of type"},
	{"encryption_context", "{}", EUCLEAN, "does not bind 'aws:ebs:id'"},
	{"encryption_context", "{\"aws:ebs:id\":\"" ID "\",\"n\":1}", EUCLEAN,
	 "member 'encryption_context': the value of 'n' is not a string"},
	{"encryption_context", "{\"aws:ebs:id\":\"" ID "\",\"n\":\"\"}", EUCLEAN,
	 "member 'encryption_context': a pair is empty"},
	{"wrapped_data_key", NULL, EUCLEAN, "member 'wrapped_data_key' is missing"},
	{"wrapped_data_key", "\"?\"", EUCLEAN, "member 'wrapped_data_key' is not base64"},
	{"wrapped_data_key", "\"\"", EUCLEAN, "'wrapped_data_key' has 0 bytes"},
	{"parent_snapshot", NULL, EUCLEAN, "member 'parent_snapshot' is missing"},
	{"parent_snapshot", "3", EUCLEAN, "member 'parent_snapshot' is of type integer"},
	{"parent_snapshot", "\"snap-1\"", EUCLEAN, "member 'parent_snapshot' is neither"},
	{"created", NULL, EUCLEAN, "member 'created' is missing"},
	{"created", "\"yesterday\"", EUCLEAN, "member 'created' is no time"},
	{"created", "\"2026-02-30T00:00:00Z\"", EUCLEAN, "member 'created' is no time"},
	{"created", "\"2026-01-31T23:59:59Z \"", EUCLEAN, "member 'created' is no time"},
	{"lineage", NULL, EUCLEAN, "member 'lineage' is missing"},
	{"lineage", "{}", EUCLEAN, "member 'lineage' is of type"},
	{"lineage", "[1]", EUCLEAN, "member 'lineage': an element is not an object"},
	{"lineage", "[{\"volume_id\":\"vol-1\",\"below\":7}]", EUCLEAN,
	 "member 'lineage': member 'volume_id' is not 'vol-'"},
	{"lineage", "[{\"volume_id\":\"vol-00000000000000001\",\"below\":1}]", EUCLEAN,
	 "member 'lineage': member 'below' is 1, not above 1"},
	{"lineage",
	 "[{\"volume_id\":\"vol-00000000000000001\",\"below\":7},"
	 "{\"volume_id\":\"vol-00000000000000002\",\"below\":7}]",
	 EUCLEAN, "member 'lineage': member 'below' is 7, not above 7"},
	{"previous_data_key", "3", EUCLEAN, "member 'previous_data_key' is of type integer"},
	{"previous_data_key", "{}", EUCLEAN,
	 "member 'previous_data_key': member 'wrapped_data_key' is missing"},
	{"previous_data_key", "{\"wrapped_data_key\":\"\"}", EUCLEAN,
	 "member 'previous_data_key': member 'wrapped_data_key' has 0 bytes"},
	{"mac", NULL, EUCLEAN, "member 'mac' is missing"},
	{"mac", "\"00\"", EUCLEAN, "member 'mac' is not 64 hex digits"},
};

static void each_bad_member_is_named(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		struct kms_json *obj = load_json(f), *value = NULL;
		struct volume_header *h = NULL;
		struct err err = {0};
		int r;

		kms_json_del(obj, bads[i].member);
		if (bads[i].json) {
			assert_int_equal(kms_json_parse_any(bads[i].json, strlen(bads[i].json),
							    &value, &err),
					 0);
			assert_int_equal(kms_json_set(obj, bads[i].member, value), 0);
		}
		r = parse_json(obj, &h, &err);
		if (r != -bads[i].num || err.num != bads[i].num ||
		    !strstr(err.msg, bads[i].sentence))
			fail_msg("%s = %s: %d '%s', not %d '%s'", bads[i].member,
				 bads[i].json ? bads[i].json : "(none)", r, err.msg, -bads[i].num,
				 bads[i].sentence);
		assert_null(h);
		kms_json_free(obj);
	}
}

static void too_many_pairs_are_refused(void **state)
{
	struct fixture *f = *state;
	struct kms_json *obj = load_json(f), *context = kms_json_get(obj, "encryption_context");
	struct volume_header *h = NULL;
	struct err err = {0};
	char name[16];

	for (int i = 0; i < VOLUME_PAIRS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "pair%d", i);
		assert_int_equal(kms_json_set_str(context, name, "v"), 0);
	}
	assert_int_equal(parse_json(obj, &h, &err), -EUCLEAN);
	assert_string_equal(err.msg, "member 'encryption_context': more than 32 pairs");
	kms_json_free(obj);
}

static void every_truncation_is_refused(void **state)
{
	struct fixture *f = *state;
	struct kms_json *obj = load_json(f);
	char *text = kms_json_text(obj);

	assert_non_null(text);
	for (size_t len = 0; len < strlen(text); len++) {
		struct volume_header *h = NULL;
		struct err err = {0};

		assert_int_equal(volume_header_parse(text, len, &h, &err), -EUCLEAN);
		assert_non_null(strstr(err.msg, "not JSON"));
	}
	free(text);
	kms_json_free(obj);
}

static void unknown_members_are_ignored(void **state)
{
	struct fixture *f = *state;
	struct kms_json *obj = load_json(f);
	struct volume_header *h = NULL;
	struct err err;

	assert_int_equal(kms_json_set_str(obj, "comment", "of a later version"), 0);
	assert_int_equal(parse_json(obj, &h, &err), 0);
	assert_int_equal(volume_seal_check(h, f->data_key, &err), 0);
	volume_header_free(h);
	kms_json_free(obj);
}

static void write_text(struct fixture *f, const char *text, size_t len)
{
	char path[128];
	FILE *out;

	(void)snprintf(path, sizeof(path), "%s/volume.json", f->dir);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

static void what_is_no_volume_is_told(void **state)
{
	struct fixture *f = *state;
	struct volume_header *h = NULL;
	char path[128], *big = malloc(VOLUME_HEADER_SIZE_MAX + 1);
	struct err err;

	assert_int_equal(volume_header_load("/tmp/no/such", &h, &err), -ENOENT);
	assert_string_equal(err.msg, "No such file or directory");

	(void)snprintf(path, sizeof(path), "%s/volume.json", f->dir);
	assert_int_equal(volume_header_load(path, &h, &err), -ENOTDIR);
	assert_string_equal(err.msg, "this is no volume: not a directory");

	assert_non_null(big);
	memset(big, ' ', VOLUME_HEADER_SIZE_MAX + 1);
	write_text(f, big, VOLUME_HEADER_SIZE_MAX + 1);
	free(big);
	assert_int_equal(volume_header_load(f->dir, &h, &err), -EUCLEAN);
	assert_string_equal(err.msg, "volume.json is longer than 65536 bytes");

	write_text(f, "{\"name\": \"other\"}", 17);
	assert_int_equal(volume_header_load(f->dir, &h, &err), -EUCLEAN);
	assert_string_equal(err.msg, "volume.json: not the header of a volume: no \"format\": "
				     "\"kmsvol-volume\"");

	assert_int_equal(unlink(path), 0);
	assert_int_equal(volume_header_load(f->dir, &h, &err), -ENOENT);
	assert_string_equal(err.msg, "this is no volume: volume.json is missing");
	assert_null(h);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(written_header_reads_back),
		TEST(parent_snapshot_reads_back),
		TEST(mac_is_as_documented),
		TEST(seal_breaks_when_a_member_is_edited),
		TEST(seal_breaks_when_the_id_is_edited),
		TEST(seal_does_not_depend_on_order_of_pairs),
		TEST(seal_breaks_under_another_key),
		TEST(each_bad_member_is_named),
		TEST(too_many_pairs_are_refused),
		TEST(every_truncation_is_refused),
		TEST(unknown_members_are_ignored),
		TEST(what_is_no_volume_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
