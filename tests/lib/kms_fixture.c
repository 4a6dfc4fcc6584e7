/* Client and server for tests. See kms_fixture.h. */
#include "kms_fixture.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "aws_env.h"
#include "err.h"
#include "kms.h"

struct fake_http *kms_fixture_server;
struct kms *kms_fixture_kms;

int kms_fixture_set_up(void **state)
{
	struct kms_config config = {.backoff_ms = 1, .timeout_ms = 5000};
	struct err err = {0};

	(void)state;
	aws_env_clean();
	kms_fixture_server = fake_http_start();
	setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", KMS_FIXTURE_SECRET, 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	config.endpoint = fake_http_url(kms_fixture_server);
	if (kms_open(&config, &kms_fixture_kms, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		return -1;
	}
	return 0;
}

int kms_fixture_tear_down(void **state)
{
	(void)state;
	kms_closep(&kms_fixture_kms);
	fake_http_stop(kms_fixture_server);
	aws_env_remove();
	return 0;
}

void kms_fixture_reply(int status, const char *body)
{
	kms_fixture_reply_how(status, body, FAKE_WHOLE);
}

void kms_fixture_reply_how(int status, const char *body, enum fake_how how)
{
	fake_http_add(kms_fixture_server,
		      &(struct fake_reply){.status = status, .body = body, .how = how});
}

int kms_fixture_decrypt(struct secret **ret, struct err *err)
{
	return kms_decrypt(kms_fixture_kms, (const uint8_t *)"blob", 4, NULL, KMS_FIXTURE_ARN, ret,
			   err);
}
