/* Files of lines that are turned over, and the chains of decisions that are found in them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "err.h"
#include "explain.h"
#include "kms_json.h"
#include "linefile.h"

#define ID   "11112222-3333-4444-5555-66667777888"
#define LINE "{\"EventId\":\"" ID "%d\",\"Operation\":\"Decrypt\",\"Note\":\"" ID "9\"}\n"

struct fixture {
	char dir[64];
	int fd;
	struct linefile *file;
	struct linefile_config config;
};

static void open_file(struct fixture *f)
{
	struct err err = {0};

	if (linefile_open(f->fd, &f->config, &f->file, &err) < 0)
		fail_msg("%s", err.msg);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/kmsd-test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY);
	f->config = (struct linefile_config){"decisions", 300, 2};
	open_file(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char name[LINEFILE_NAME_MAX];

	linefile_close(f->file);
	for (uint32_t n = 0; n < 20; n++) {
		linefile_name("decisions", n, name);
		(void)unlinkat(f->fd, name, 0);
	}
	(void)unlinkat(f->fd, "audit.jsonl", 0);
	close(f->fd);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static void append(struct fixture *f, int i)
{
	char line[256];
	struct err err = {0};

	sprintf(line, LINE, i);
	assert_int_equal(linefile_append(f->file, line, strlen(line), &err), 0);
}

static void numbers_are(struct fixture *f, uint32_t first, uint32_t last)
{
	struct err err = {0};
	uint32_t a, b;

	assert_int_equal(linefile_numbers(f->fd, "decisions", &a, &b, &err), 0);
	assert_int_equal(a, first);
	assert_int_equal(b, last);
}

static int find(struct fixture *f, int i, struct err *err)
{
	struct kms_json *record = NULL;
	char id[40];
	int r;

	sprintf(id, ID "%d", i);
	*err = (struct err){0};
	r = explain_find(f->fd, id, &record, err);
	if (r == 0)
		assert_string_equal(kms_json_string_value(kms_json_get(record, "EventId")), id);
	kms_json_free(record);
	return r;
}

/* Three lines of some 110 bytes fill a file. */
static void full_files_are_turned_over_and_the_oldest_go(void **state)
{
	struct fixture *f = *state;
	struct err err;

	numbers_are(f, 0, 0);
	append(f, 0);
	append(f, 0);
	numbers_are(f, 0, 0);
	append(f, 0);
	numbers_are(f, 1, 1);
	for (int i = 1; i < 6; i++)
		append(f, i);
	numbers_are(f, 1, 2);
	append(f, 6); /* fills the third */
	numbers_are(f, 2, 3);
	assert_int_equal(find(f, 0, &err), -ENOENT);
	assert_string_equal(err.msg, "no such event");
	for (int i = 1; i < 7; i++)
		assert_int_equal(find(f, i, &err), 0);
	/* "...9" stands in each line, but is the id of none. */
	assert_int_equal(find(f, 9, &err), -ENOENT);
	assert_int_equal(linefile_sync(f->file, &err), 0);
	assert_int_equal(linefile_sync(f->file, &err), 0);
	linefile_close(f->file);
	open_file(f);
	append(f, 7);
	numbers_are(f, 2, 3);
	assert_int_equal(find(f, 7, &err), 0);
	assert_int_equal(find(f, 1, &err), 0);
}

static void a_torn_line_is_ended_and_passed_over(void **state)
{
	static const char torn[] = "{\"EventId\":\"" ID "2\"";
	struct fixture *f = *state;
	struct err err;
	int fd = openat(f->fd, "decisions.jsonl", O_WRONLY | O_APPEND);

	append(f, 1);
	assert_int_equal(write(fd, torn, strlen(torn)), strlen(torn));
	assert_int_equal(find(f, 2, &err), -ENOENT);
	linefile_close(f->file);
	open_file(f);
	append(f, 3);
	assert_int_equal(find(f, 1, &err), 0);
	assert_int_equal(find(f, 2, &err), -ENOENT);
	assert_int_equal(find(f, 3, &err), 0);
	close(fd);
}

static void what_the_trail_alone_has_is_said(void **state)
{
	static const char trail[] =
		"{\"eventID\":\"" ID "1\",\"userIdentity\":{\"type\":\"Unknown\"},"
		"\"errorCode\":\"InvalidSignatureException\"}\n"
		"{\"eventID\":\"" ID "2\",\"userIdentity\":{\"type\":\"Root\"}}\n"
		"{\"eventID\":\"" ID "3\",\"userIdentity\":{\"type\":\"Root\"},"
		"\"errorCode\":\"DisabledException\"}\n";
	struct fixture *f = *state;
	struct err err;
	int fd = openat(f->fd, "audit.jsonl", O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, trail, sizeof(trail) - 1), sizeof(trail) - 1);
	close(fd);
	assert_int_equal(find(f, 1, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "before it was known who sent it: InvalidSignature"));
	assert_int_equal(find(f, 2, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "it was allowed"));
	assert_int_equal(find(f, 3, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "is not kept any more"));
}

static void the_text_has_80_columns_and_no_control_characters(void **state)
{
	static const char record[] =
		"{\"EventId\":\"" ID "1\",\"Time\":\"2026-01-01T00:00:00Z\",\"Service\":\"kms\","
		"\"Operation\":\"Decrypt\",\"Caller\":{\"Arn\":\"arn:aws:iam::111122223333:user/"
		"test\",\"Account\":\"111122223333\",\"Id\":\"AIDA\",\"Issuer\":\"arn:aws:iam::"
		"111122223333:user/test\"},\"Error\":{\"Code\":\"AccessDeniedException\","
		"\"Message\":\"\"},\"Decisions\":[{\"Decision\":\"explicitly "
		"denied\",\"DecidedBy\":"
		"\"key policy\",\"Policy\":\"default\",\"Statement\":3,\"Sid\":\"S\",\"Action\":"
		"\"kms:Decrypt\",\"Resource\":\"*\",\"ResourceAccount\":\"111122223333\","
		"\"GrantsAsked\":true,\"Steps\":[],\"Context\":{\"aws:UserAgent\":[\"a\\u001b[2Jb"
		"\\u009bc\"],\"long\":[\"0123456789012345678901234567890123456789012345678901234"
		"56789012345678901234567890123456789012345678901234567890123456789\\u00e4\"]}}]}";
	struct kms_json *v = NULL;
	struct err err = {0};
	char *text, *line, *save = NULL;

	(void)state;
	assert_int_equal(kms_json_parse(record, strlen(record), &v, &err), 0);
	text = explain_text(v);
	assert_non_null(text);
	assert_non_null(strstr(text, "=> explicitly denied by: key policy 'default', "
				     "Statement[3] 'S'\n"));
	assert_non_null(strstr(text, "aws:UserAgent = a?[2Jb?c\n"));
	assert_non_null(strstr(text, "answer: AccessDeniedException\n"));
	assert_non_null(strstr(text, "\xc3\xa4\n"));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strlen(line) > 80)
			fail_msg("%zu columns: %s", strlen(line), line);
	free(text);
	kms_json_free(v);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(full_files_are_turned_over_and_the_oldest_go),
		TEST(a_torn_line_is_ended_and_passed_over),
		TEST(what_the_trail_alone_has_is_said),
		cmocka_unit_test(the_text_has_80_columns_and_no_control_characters),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
