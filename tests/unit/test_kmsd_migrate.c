/* A data directory that an older kmsd made is opened, and keeps what was in it. */
#include "kmsd_rig.h"

#include <errno.h>
#include <sys/stat.h>

#include <sqlite3.h>

#define SCHEMA1 "tests/vectors/kmsd/schema1.sql"
#define ROOT1	"7e21e6131cd88ab3ab5ce95719eb0bd07222576ec01e7b40968825bf724858dc"
#define KEY1	"dc1da6ee-f74c-4139-a01d-0803f1039505"
#define BLOB1                                                                                      \
	"AQICAHjcHabu90xBOaAdCAPxA5UFFcKEolwXeFpS0KSHrGbXQgGeMvxOmzLJzQHStSegyV4GAAAAZjBkBgkqhki"  \
	"G9w0BBwagVzBVAgEAMFAGCSqGSIb3DQEHATAeBglghkgBZQMEAS4wEQQM4NjDNjE6W7t7Se48AgEQgCOQejKHkW"  \
	"S1cQw6OOkgAJbebCapcDsGVESXLp0LqtIvlJDFOg=="

static char *read_text(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (!in)
		fail_msg("run from the top of the tree: %s", path);
	assert_true(fread(text, 1, 65535, in) > 0);
	fclose(in);
	return text;
}

static void make_old(struct rig *f, const char *extra)
{
	uint8_t root[32];
	struct sqlite3 *db;
	char path[128], *text = read_text(SCHEMA1);
	FILE *out;

	rig_make_dir(f);
	sprintf(path, "%s/kmsd.sqlite", f->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, extra, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(text);
	assert_int_equal(bytes_from_hex(ROOT1, root, sizeof(root)), 0);
	sprintf(path, "%s/root-key", f->dir);
	out = fopen(path, "w");
	assert_int_equal(fwrite(root, 1, sizeof(root), out), sizeof(root));
	fclose(out);
	assert_int_equal(chmod(path, 0600), 0);
	f->now_ms = INT64_C(1800000000000);
}

static void old_key_decrypts_and_learns_the_new_operations(void **state)
{
	struct rig f = {0};
	struct kms_json *v;

	(void)state;
	make_old(&f, "");
	for (int i = 0; i < 2; i++) { /* the second time it is of our version already */
		rig_open(&f);
		v = rig_call(&f, f.root, "Decrypt",
			     "{\"CiphertextBlob\":\"" BLOB1
			     "\",\"EncryptionContext\":{\"purpose\":\"old\"}}");
		assert_string_equal(rig_text(v, "Plaintext"), "YUdWc2JHOD0=");
		kms_json_free(v);
		rig_close(&f);
	}
	rig_open(&f);
	v = rig_call(&f, f.root, "ListResourceTags", "{\"KeyId\":\"" KEY1 "\"}");
	assert_string_equal(rig_text(kms_json_at(kms_json_get(v, "Tags"), 0), "TagValue"),
			    "storage");
	kms_json_free(v);
	v = rig_call(&f, f.root, "ListKeyRotations",
		     "{\"KeyId\":\"" KEY1 "\",\"IncludeKeyMaterial\":\"ALL_KEY_MATERIAL\"}");
	assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
	kms_json_free(v);
	rig_do(&f, "CreateGrant",
	       "{\"KeyId\":\"" KEY1 "\",\"GranteePrincipal\":\"" RIG_OTHER
	       "\",\"Operations\":[\"Decrypt\"]}");
	rig_do(&f, "EnableKeyRotation", "{\"KeyId\":\"" KEY1 "\"}");
	f.now_ms += 365 * RIG_DAY_MS;
	rig_do(&f, "Decrypt",
	       "{\"CiphertextBlob\":\"" BLOB1 "\",\"EncryptionContext\":{\"purpose\":\"old\"}}");
	v = rig_call(&f, f.root, "ListKeyRotations", "{\"KeyId\":\"" KEY1 "\"}");
	assert_int_equal(kms_json_count(kms_json_get(v, "Rotations")), 1);
	kms_json_free(v);
	rig_close(&f);
	rig_remove_dir(&f);
}

static void newer_schema_is_refused(void **state)
{
	struct rig f = {0};
	struct err err = {0};

	(void)state;
	make_old(&f, "UPDATE schema_version SET version = 1000");
	f.dir_fd = open(f.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(store_open(f.dir, f.dir_fd, &f.kmsd.store, &err), -EUCLEAN);
	assert_string_equal(err.msg,
			    "'kmsd.sqlite' has schema version 1000, this kmsd knows 1 to 4");
	close(f.dir_fd);
	rig_remove_dir(&f);
}

/* A step fails half-way: all stays as it was, and goes on once the cause is gone. */
static void failed_migration_changes_nothing(void **state)
{
	struct rig f = {0};
	struct err err = {0};
	struct sqlite3 *db;
	char path[128];

	(void)state;
	make_old(&f, "CREATE TABLE last_uses (in_the_way)");
	sprintf(path, "%s/kmsd.sqlite", f.dir);
	f.dir_fd = open(f.dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(store_open(f.dir, f.dir_fd, &f.kmsd.store, &err), -EIO);
	close(f.dir_fd);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "SELECT rotation_days FROM keys", NULL, NULL, NULL),
			 SQLITE_ERROR);
	assert_int_equal(sqlite3_exec(db, "DROP TABLE last_uses", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	rig_open(&f);
	rig_do(&f, "DescribeKey", "{\"KeyId\":\"alias/old\"}");
	rig_close(&f);
	rig_remove_dir(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(old_key_decrypts_and_learns_the_new_operations),
		cmocka_unit_test(newer_schema_is_refused),
		cmocka_unit_test(failed_migration_changes_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
