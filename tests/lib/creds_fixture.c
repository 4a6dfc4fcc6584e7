/* The credential chain under test. See creds_fixture.h. */
#include "creds_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws_creds.h"
#include "aws_env.h"
#include "creds.h"
#include "fake_http.h"
#include "kms_http.h"

struct creds_fixture creds_fixture;

int creds_fixture_set_up(void **state)
{
	struct creds_fixture *f = &creds_fixture;

	(void)state;
	memset(f, 0, sizeof(*f));
	aws_env_clean();
	f->server = fake_http_start();
	if (stop_init(&f->stop, &f->err) < 0 || kms_http_open(&f->stop, &f->http, &f->err) < 0 ||
	    creds_open(NULL, f->http, &f->stop, &f->creds, &f->err) < 0)
		return -1;
	return 0;
}

int creds_fixture_tear_down(void **state)
{
	struct creds_fixture *f = &creds_fixture;

	(void)state;
	creds_close(f->creds);
	kms_http_close(f->http);
	stop_done(&f->stop);
	fake_http_stop(f->server);
	aws_env_remove();
	return 0;
}

void creds_fixture_reply(int status, const char *body)
{
	fake_http_add(creds_fixture.server, &(struct fake_reply){.status = status, .body = body});
}

void creds_fixture_expect(const char *id, const char *secret, const char *token)
{
	struct creds_fixture *f = &creds_fixture;
	int r = creds_get(f->creds, CREDS_FIXTURE_NOW, &f->got, &f->err);

	if (r < 0)
		fail_msg("%d: %s", r, f->err.msg);
	assert_string_equal(f->got->access_key_id, id);
	assert_string_equal(aws_creds_text(f->got->secret_key), secret);
	if (token)
		assert_string_equal(aws_creds_text(f->got->token), token);
	else
		assert_null(f->got->token);
}

void creds_fixture_expect_failure(int num, const char *words)
{
	struct creds_fixture *f = &creds_fixture;

	assert_int_equal(creds_get(f->creds, CREDS_FIXTURE_NOW, &f->got, &f->err), -num);
	if (!strstr(f->err.msg, words))
		fail_msg("'%s' has no '%s'", f->err.msg, words);
	assert_null(strstr(f->err.msg, "TOPSECRET"));
	assert_int_equal(f->err.num, num);
}
