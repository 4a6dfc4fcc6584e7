/* The table of segments: which files in segments/ it takes for its own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "disk.h"
#include "err.h"
#include "secret.h"
#include "segment.h"

struct fixture {
	char dir[64];
	struct disk *disk;
	struct secret *key;
	struct segment_table *table;
};

static int setup(void **state)
{
	static const struct store_geometry geometry = {.size_bytes = 1 << 20,
						       .block_size = 4096,
						       .cipher = BLOCKCRYPT_AES_256_GCM,
						       .segment_size = 64 << 20,
						       .volume_id = "vol-0"};
	static struct fixture f;
	char sub[80];

	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/test_segment.XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	(void)snprintf(sub, sizeof(sub), "%s/segments", f.dir);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(disk_open_dir(f.dir, &f.disk, NULL), 0);
	assert_int_equal(secret_new(STORE_DATA_KEY_LEN, &f.key, NULL), 0);
	assert_int_equal(segment_table_new(f.disk, &geometry, f.key, &f.table, NULL), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	segment_table_free(f->table);
	secret_free(f->key);
	disk_free(f->disk);
	(void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	return system(command);
}

static void touch(const struct fixture *f, const char *name)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/segments/%s", f->dir, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
}

static void only_names_that_it_writes_are_its_own(void **state)
{
	static const char *const strangers[] = {"0000000A", "0x00000a",	    "-0000001",	 " 0000001",
						"+000000b", "0000000c.old", "000000001", "1",
						"00000000", "ffffffff",	    "lost+found"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(strangers) / sizeof(*strangers); i++)
		touch(f, strangers[i]);
	touch(f, "00000007");
	touch(f, "0000000b");
	assert_int_equal(segment_table_scan(f->table, NULL), 0);
	assert_int_equal(segment_table_count(f->table), 2);
	assert_int_equal(segment_table_last(f->table), 0xb);
}

static void ids_too_far_apart_for_one_volume_are_refused(void **state)
{
	struct fixture *f = *state;
	struct err err;

	touch(f, "00000001");
	touch(f, "7fffffff");
	assert_int_equal(segment_table_scan(f->table, &err), -EUCLEAN);
	assert_non_null(strstr(err.msg, "segments: 00000001 and 7fffffff are more than"));
}

/* What another directory under the same data key reads in place of its own segment 5. */
static int read_as(const struct fixture *f, const struct store_geometry *geometry, struct err *err)
{
	struct segment_table *table;
	struct segment *s = NULL;
	int r;

	assert_int_equal(segment_table_new(f->disk, geometry, f->key, &table, NULL), 0);
	assert_int_equal(segment_table_scan(table, NULL), 0);
	r = segment_get(table, 5, &s, err);
	segment_put(s);
	segment_table_free(table);
	return r;
}

static void a_segment_of_another_writer_is_refused(void **state)
{
	struct store_geometry other = {.size_bytes = 1 << 20,
				       .block_size = 4096,
				       .cipher = BLOCKCRYPT_AES_256_GCM,
				       .segment_size = 64 << 20,
				       .volume_id = "vol-1"};
	struct fixture *f = *state;
	struct segment *s;
	struct err err;

	assert_int_equal(segment_create(f->table, 5, 0, &s, NULL), 0);
	segment_put(s);
	assert_int_equal(read_as(f, &other, &err), -EUCLEAN);
	assert_string_equal(err.msg,
			    "segments/00000005: it was written for volume 'vol-0', and here "
			    "belongs one of 'vol-1'");
	other.lineage_count = 1; /* it began as a snapshot of vol-0 taken before segment 5 */
	other.lineage[0] = (struct store_origin){"vol-0", 5};
	assert_int_equal(read_as(f, &other, &err), -EUCLEAN);
	other.lineage[0].below = 6; /* and after it */
	assert_int_equal(read_as(f, &other, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_names_that_it_writes_are_its_own, setup,
						teardown),
		cmocka_unit_test_setup_teardown(ids_too_far_apart_for_one_volume_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_segment_of_another_writer_is_refused, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
