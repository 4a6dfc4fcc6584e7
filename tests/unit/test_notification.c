/* The events of a failed attachment and of copied snapshots, in the form of the EC2 user guide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kms_json.h"
#include "notification.h"

#define KEY "arn:aws:kms:sa-east-1:111122223333:key/01234567-0123-0123-0123-0123456789ab"

static void it_is_what_eventbridge_delivers(void **state)
{
	const struct notification n = {"vol-01234567012345678", KEY, KEY " is disabled.",
				       1767225600};
	struct kms_json *v = notification_attach_failed(&n);
	const char *id;
	char *text;

	(void)state;
	assert_non_null(v);
	id = kms_json_string_value(kms_json_get(v, "id"));
	assert_int_equal(strlen(id), 36);
	assert_int_equal(id[14], '4');
	assert_int_equal(kms_json_set_str(v, "id", "-"), 0);
	text = kms_json_text(v);
	assert_string_equal(
		text,
		"{\"version\":\"0\",\"id\":\"-\",\"detail-type\":\"EBS Volume Notification\","
		"\"source\":\"aws.ec2\",\"account\":\"111122223333\",\"time\":"
		"\"2026-01-01T00:00:00Z\",\"region\":\"sa-east-1\",\"resources\":["
		"\"arn:aws:ec2:sa-east-1:111122223333:volume/vol-01234567012345678\",\"" KEY
		"\"],\"detail\":{\"event\":\"attachVolume\",\"result\":\"failed\",\"cause\":\"" KEY
		" is disabled.\",\"request-id\":\"\"}}");
	free(text);
	kms_json_free(v);
}

static char *copy_event(const char *cause)
{
	const struct notification_snapshot n = {.snapshot_id = "snap-01234567012345678",
						.volume_id = "vol-01234567012345678",
						.source_id = "snap-87654321076543210",
						.key_arn = KEY,
						.cause = cause,
						.start = 1767225600,
						.end = 1767225601};
	struct kms_json *v = notification_snapshot(&n);
	char *text;

	assert_non_null(v);
	assert_int_equal(kms_json_set_str(v, "id", "-"), 0);
	text = kms_json_text(v);
	kms_json_free(v);
	return text;
}

#define COPY_HEAD                                                                                  \
	"{\"version\":\"0\",\"id\":\"-\",\"detail-type\":\"EBS Snapshot Notification\","           \
	"\"source\":\"aws.ec2\",\"account\":\"111122223333\",\"time\":\"2026-01-01T00:00:01Z\","   \
	"\"region\":\"sa-east-1\",\"resources\":[\"arn:aws:ec2::sa-east-1:snapshot/"               \
	"snap-01234567012345678\"],\"detail\":{\"event\":\"copySnapshot\","
#define COPY_TAIL                                                                                  \
	"\"request-id\":\"\",\"snapshot_id\":\"arn:aws:ec2::sa-east-1:snapshot/"                   \
	"snap-01234567012345678\",\"source\":\"arn:aws:ec2::sa-east-1:snapshot/"                   \
	"snap-87654321076543210\",\"startTime\":\"2026-01-01T00:00:00Z\","                         \
	"\"endTime\":\"2026-01-01T00:00:01Z\""

static void a_copy_is_told_as_one(void **state)
{
	char *good = copy_event(NULL), *bad = copy_event("no room");

	(void)state;
	assert_string_equal(good, COPY_HEAD "\"result\":\"succeeded\",\"cause\":\"\"," COPY_TAIL
					    ",\"incremental\":\"false\"}}");
	assert_string_equal(bad, COPY_HEAD "\"result\":\"failed\",\"cause\":\"no room\"," COPY_TAIL
					   "}}");
	free(good);
	free(bad);
}

static void an_experiment_is_told_as_fis_does(void **state)
{
	const struct notification_experiment n = {.experiment_id = "EXP0123456789abcde",
						  .key_arn = KEY,
						  .from = "running",
						  .to = "stopped",
						  .reason = "why",
						  .seconds = 1767225600};
	struct kms_json *v = notification_experiment(&n);
	char *text;

	(void)state;
	assert_non_null(v);
	assert_int_equal(kms_json_set_str(v, "id", "-"), 0);
	text = kms_json_text(v);
	assert_string_equal(
		text,
		"{\"version\":\"0\",\"id\":\"-\",\"detail-type\":\"FIS Experiment State "
		"Change\",\"source\":\"aws.fis\",\"account\":\"111122223333\",\"time\":"
		"\"2026-01-01T00:00:00Z\",\"region\":\"sa-east-1\",\"resources\":["
		"\"arn:aws:fis:sa-east-1:111122223333:experiment/EXP0123456789abcde\"],"
		"\"detail\":{\"experiment-id\":\"EXP0123456789abcde\","
		"\"experiment-template-id\":\"\",\"new-state\":{\"status\":\"stopped\","
		"\"reason\":\"why\"},\"old-state\":{\"status\":\"running\",\"reason\":\"\"}}}");
	free(text);
	kms_json_free(v);
}

static void without_an_arn_there_is_none(void **state)
{
	static const char *const bad[] = {"", "alias/db", "arn:aws:iam::111122223333:root"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct notification n = {"vol-01234567012345678", bad[i], "", 0};

		const struct notification_experiment e = {"EXP", bad[i], "", "", "", 0};

		assert_null(notification_attach_failed(&n));
		assert_null(notification_experiment(&e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_what_eventbridge_delivers),
		cmocka_unit_test(a_copy_is_told_as_one),
		cmocka_unit_test(an_experiment_is_told_as_fis_does),
		cmocka_unit_test(without_an_arn_there_is_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
