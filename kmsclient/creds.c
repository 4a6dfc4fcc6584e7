/*
 * The chain of credential providers and the cache in front of it. The order is botocore's:
 * environment, role or web identity (not supported yet: said, not skipped, since what comes after
 * would be other permissions), credentials file, credential_process, config file, container,
 * instance. See creds.h.
 */
#include "creds.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_creds.h"
#include "aws_profile.h"
#include "creds_provider.h"
#include "err.h"
#include "secret.h"

#define LOOKED_MAX	 1600
#define PROCESS_LIMIT_MS 60000

struct creds {
	char *profile;		 /* fixed at open; NULL: as the environment says */
	struct kms_http *http;	 /* fixed at open; borrowed */
	const struct stop *stop; /* fixed at open; borrowed */
	struct aws_creds now;	 /* empty: none yet */
	int64_t pause_until;	 /* no renewing before, while `now` holds */
	bool from_instance;	 /* `now` came from the EC2 instance */
};

int creds_open(const char *profile, struct kms_http *http, const struct stop *stop,
	       struct creds **ret_creds, struct err *err)
{
	struct creds *c = calloc(1, sizeof(*c));

	if (c && profile)
		c->profile = strdup(profile);
	if (!c || (profile && !c->profile)) {
		free(c);
		return err_set(err, ENOMEM, "out of memory");
	}
	c->http = http;
	c->stop = stop;
	*ret_creds = c;
	return 0;
}

void creds_close(struct creds *creds)
{
	if (!creds)
		return;
	aws_creds_clear(&creds->now);
	free(creds->profile);
	free(creds);
}

void creds_looked(struct creds_ask *ask, const char *where, const char *why)
{
	/* What does not fit is left out: it is for people. */
	(void)buf_printf(&ask->looked, "%s%s (%s)", ask->looked.len ? ", " : "", where, why);
}

static int from_environment(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	const char *id = aws_env("AWS_ACCESS_KEY_ID");
	const char *secret = aws_env("AWS_SECRET_ACCESS_KEY");
	const char *token = aws_env("AWS_SESSION_TOKEN");
	int r;

	if (!id && !secret) {
		creds_looked(ask, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "not set");
		return 0;
	}
	if (!id || !secret)
		return err_set(err, EACCES,
			       "AWS credentials in the environment: %s is set, but %s is not",
			       id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
			       id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (!token)
		token = aws_env("AWS_SECURITY_TOKEN"); /* its old name */
	r = aws_creds_set(ret, "AWS credentials in the environment", id, secret, token, NULL, err);
	return r < 0 ? r : 1;
}

/* What the SDKs would do and we cannot yet must not be passed over in silence. */
static int from_role(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	static const struct {
		const char *key;
		const char *what;
	} unsupported[] = {
		{"role_arn", "assuming a role"},
		{"web_identity_token_file", "web identity"},
		{"sso_session", "IAM Identity Center (SSO)"},
		{"sso_start_url", "IAM Identity Center (SSO)"},
	};

	(void)ret;
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++)
		if (aws_profile_get(ask->profile, unsupported[i].key))
			return err_set(err, EACCES,
				       "AWS profile '%s' has %s: %s is not supported yet; "
				       "credential_process can do it",
				       aws_profile_name(ask->profile), unsupported[i].key,
				       unsupported[i].what);
	if (aws_env("AWS_WEB_IDENTITY_TOKEN_FILE"))
		return err_set(err, EACCES,
			       "AWS_WEB_IDENTITY_TOKEN_FILE is set: web identity is not "
			       "supported yet");
	return 0;
}

static int from_file(struct creds_ask *ask, enum aws_file file, struct aws_creds *ret,
		     struct err *err)
{
	const char *id = aws_profile_get_from(ask->profile, file, "aws_access_key_id");
	const char *why = aws_profile_unread(ask->profile, file);
	char source[AWS_CREDS_SOURCE_MAX];
	int r;

	(void)snprintf(source, sizeof(source), "AWS profile '%s' in '%s'",
		       aws_profile_name(ask->profile), aws_profile_path(ask->profile, file));
	if (!id) {
		creds_looked(ask, source, why ? why : "no aws_access_key_id");
		return 0;
	}
	r = aws_creds_set(ret, source, id,
			  aws_profile_get_from(ask->profile, file, "aws_secret_access_key"),
			  aws_profile_get_from(ask->profile, file, "aws_session_token"), NULL, err);
	return r < 0 ? r : 1;
}

static int from_credentials_file(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	return from_file(ask, AWS_FILE_CREDENTIALS, ret, err);
}

static int from_config_file(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	return from_file(ask, AWS_FILE_CONFIG, ret, err);
}

static int from_process(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	const char *command = aws_profile_get(ask->profile, "credential_process");

	if (!command) {
		creds_looked(ask, "credential_process", "not set");
		return 0;
	}
	return creds_from_process(ask, command, ret, err);
}

typedef int (*provider_fn)(struct creds_ask *ask, struct aws_creds *ret, struct err *err);

static const provider_fn providers[] = {
	from_environment,    from_role,	       from_credentials_file,
	from_process,	     from_config_file, creds_from_container,
	creds_from_instance,
};

/* Ask one after the other. @ret_instance: the last one it was. */
static int ask_all(struct creds *c, struct aws_creds *ret, bool *ret_instance, struct err *err)
{
	AUTO(aws_profile_freep) struct aws_profile *profile = NULL;
	struct creds_ask ask = {
		.http = c->http,
		.stop = c->stop,
		.looked = {.max = LOOKED_MAX},
		.instance_worked = c->from_instance,
		.process_limit_ms = PROCESS_LIMIT_MS,
	};
	int r = aws_profile_load(c->profile, &profile, err);

	if (r < 0)
		return r;
	ask.profile = profile;
	for (size_t i = 0; r == 0 && i < sizeof(providers) / sizeof(providers[0]); i++) {
		if (c->profile && providers[i] == from_environment)
			continue;
		r = providers[i](&ask, ret, err);
		*ret_instance = providers[i] == creds_from_instance;
	}
	if (r == 0)
		r = err_set(err, EACCES, "no AWS credentials found; looked at %s",
			    ask.looked.bytes ? (const char *)ask.looked.bytes : "nothing");
	buf_free(&ask.looked);
	return r < 0 ? r : 0;
}

static bool hold(const struct creds *c, int64_t now)
{
	return c->now.secret_key && (c->now.expires_at == 0 || now < c->now.expires_at);
}

static int renew(struct creds *c, int64_t now, struct err *err)
{
	struct aws_creds fresh = {0};
	bool instance = false;
	int r = ask_all(c, &fresh, &instance, err);

	c->pause_until = now + CREDS_RENEW_PAUSE_S;
	if (r < 0)
		return r;
	aws_creds_clear(&c->now);
	c->now = fresh;
	c->from_instance = instance;
	return 0;
}

int creds_get(struct creds *creds, int64_t now, const struct aws_creds **ret, struct err *err)
{
	bool due = creds->now.expires_at && now >= creds->now.expires_at - CREDS_RENEW_BEFORE_S;

	if (!hold(creds, now) || (due && now >= creds->pause_until)) {
		int r = renew(creds, now, err);

		if (r < 0 && (!hold(creds, now) || r == -ECANCELED))
			return r;
		err_clear(err); /* the old ones still do */
	}
	*ret = &creds->now;
	return 0;
}

static bool same_text(const struct secret *a, const struct secret *b)
{
	const char *x = aws_creds_text(a), *y = aws_creds_text(b);

	return x == y || (x && y && strcmp(x, y) == 0);
}

int creds_renew(struct creds *creds, int64_t now, struct err *err)
{
	struct aws_creds old = creds->now;
	bool same;
	int r;

	memset(&creds->now, 0, sizeof(creds->now));
	r = renew(creds, now, err);
	if (r < 0) {
		creds->now = old; /* as bad as they are: the next call says so again */
		return r;
	}
	same = strcmp(old.access_key_id, creds->now.access_key_id) == 0 &&
	       same_text(old.secret_key, creds->now.secret_key) &&
	       same_text(old.token, creds->now.token);
	aws_creds_clear(&old);
	return same ? 0 : 1;
}
