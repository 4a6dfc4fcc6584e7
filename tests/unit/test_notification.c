/* The event of a failed attachment, in the form of the EC2 user guide. */
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

static void without_an_arn_there_is_none(void **state)
{
	static const char *const bad[] = {"", "alias/db", "arn:aws:iam::111122223333:root"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct notification n = {"vol-01234567012345678", bad[i], "", 0};

		assert_null(notification_attach_failed(&n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_what_eventbridge_delivers),
		cmocka_unit_test(without_an_arn_there_is_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
