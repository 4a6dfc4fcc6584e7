/* snapshot.json: what is written is read back, and what makes no sense is refused with the member's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"
#include "snapshot.h"
#include "snapshot_make.h"

static struct snapshot_info example(void)
{
	struct snapshot_info info = {.id = "snap-0123456789abcdef0",
				     .volume_id = "vol-0123456789abcdef0",
				     .size_bytes = 1ULL << 40,
				     .key_arn = "arn:aws:kms:eu-central-1:111122223333:key/x",
				     .description = "before \"it\" — and all",
				     .completed = true,
				     .start_time = 1769903999,
				     .completion_time = 1769904000,
				     .consistency = SNAPSHOT_MOUNTED,
				     .data_bytes = 123456789};

	memset(info.roots, 0xa5, sizeof(info.roots));
	return info;
}

static void what_is_written_reads_back(void **state)
{
	struct snapshot_info info = example(), back;
	struct err err;

	(void)state;
	for (int completed = 0; completed < 2; completed++) {
		AUTO(freep) char *text = NULL;

		info.completed = completed;
		if (!completed) { /* it has none of these yet */
			info.completion_time = 0;
			memset(info.roots, 0, sizeof(info.roots));
		} else {
			info = example();
		}
		text = snapshot_text(&info);
		assert_non_null(text);
		assert_int_equal(snapshot_parse(text, strlen(text), &back, &err), 0);
		assert_memory_equal(&back, &info, sizeof(info));
	}
}

struct bad {
	const char *member;
	const char *json; /* NULL: it is missing */
	int num;
	const char *sentence;
};

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct bad bads[] = {
		{"format", NULL, EUCLEAN, "no \"format\": \"kmsvol-snapshot\""},
		{"format", "\"kmsvol-volume\"", EUCLEAN, "no \"format\": \"kmsvol-snapshot\""},
		{"format_version", "2", ENOTSUP, "is of format version 2, this program reads 1"},
		{"format_version", "0", EUCLEAN, "is of format version 0"},
		{"snapshot_id", NULL, EUCLEAN, "member 'snapshot_id' is missing"},
		{"snapshot_id", "\"snap-1\"", EUCLEAN, "member 'snapshot_id' is not 'snap-'"},
		{"volume_id", "\"snap-0123456789abcdef0\"", EUCLEAN,
		 "member 'volume_id' is not 'vol-'"},
		{"source_snapshot_id", "\"vol-0123456789abcdef0\"", EUCLEAN,
		 "member 'source_snapshot_id' is not 'snap-'"},
		{"size_bytes", "\"1\"", EUCLEAN, "member 'size_bytes' is of type string"},
		{"size_bytes", "-1", EUCLEAN, "member 'size_bytes'"},
		{"key_arn", "1", EUCLEAN, "member 'key_arn' is of type integer"},
		{"description", "null", EUCLEAN, "member 'description'"},
		{"state", "\"error\"", EUCLEAN, "member 'state' is neither pending nor completed"},
		{"start_time", "\"now\"", EUCLEAN, "member 'start_time' is no time like"},
		{"completion_time", "null", EUCLEAN, "member 'completion_time'"},
		{"consistency", "\"good\"", EUCLEAN, "member 'consistency' is 'good', none of"},
		{"data_bytes", NULL, EUCLEAN, "member 'data_bytes' is missing"},
		{"roots_sha256", "\"00\"", EUCLEAN, "member 'roots_sha256' is not 64 hex digits"},
	};
	const struct snapshot_info info = example();
	AUTO(freep) char *text = snapshot_text(&info);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		AUTO(kms_json_freep) struct kms_json *obj = NULL;
		AUTO(freep) char *edited = NULL;
		struct kms_json *value = NULL;
		struct snapshot_info untouched = {0};
		struct err err = {0};
		int r;

		assert_int_equal(kms_json_parse(text, strlen(text), &obj, &err), 0);
		kms_json_del(obj, bads[i].member);
		if (bads[i].json && strcmp(bads[i].json, "null") == 0) {
			assert_int_equal(kms_json_set_null(obj, bads[i].member), 0);
		} else if (bads[i].json) {
			assert_int_equal(kms_json_parse_any(bads[i].json, strlen(bads[i].json),
							    &value, &err),
					 0);
			assert_int_equal(kms_json_set(obj, bads[i].member, value), 0);
		}
		edited = kms_json_text(obj);
		assert_non_null(edited);
		r = snapshot_parse(edited, strlen(edited), &untouched, &err);
		if (r != -bads[i].num || !strstr(err.msg, bads[i].sentence))
			fail_msg("%s = %s: %d '%s', not %d '%s'", bads[i].member,
				 bads[i].json ? bads[i].json : "(none)", r, err.msg, -bads[i].num,
				 bads[i].sentence);
		assert_int_equal(untouched.size_bytes, 0);
	}
}

static void names_of_unfinished_ones_are_known(void **state)
{
	char name[SNAPSHOT_STAGE_LEN];

	(void)state;
	snapshot_stage_name("snap-0123456789abcdef0", name);
	assert_string_equal(name, "snap-0123456789abcdef0.partial");
	assert_true(snapshot_is_stage_name(name));
	assert_false(snapshot_is_stage_name("snap-0123456789abcdef0"));
	assert_false(snapshot_is_stage_name("snap-0123456789abcdef.partial"));
	assert_false(snapshot_is_stage_name("../snap-0123456789abcdef0.partial"));
	assert_false(snapshot_is_stage_name("vol-0123456789abcdef01.partial"));
	assert_false(snapshot_is_stage_name(".partial"));
	assert_false(snapshot_is_stage_name(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(names_of_unfinished_ones_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
