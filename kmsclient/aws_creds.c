/* Credentials as a value, from texts or from JSON. See aws_creds.h. */
#include "aws_creds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "err.h"
#include "kms_json.h"
#include "secret.h"

const char *aws_creds_text(const struct secret *secret)
{
	return secret ? (const char *)secret_cbytes(secret) : NULL;
}

void aws_creds_clear(struct aws_creds *creds)
{
	secret_freep(&creds->secret_key);
	secret_freep(&creds->token);
	memset(creds, 0, sizeof(*creds));
}

int64_t aws_creds_time(const char *text)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int hours = 0, minutes = 0, used = 0;
	int64_t t;

	if (!p)
		return -1;
	t = timegm(&tm);
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	if (strcmp(p, "Z") == 0)
		return t;
	if ((*p != '+' && *p != '-') ||
	    (sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 &&
	     sscanf(p + 1, "%2d%2d%n", &hours, &minutes, &used) != 2) ||
	    p[1 + used])
		return -1;
	return t - (*p == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

/* Credentials are printable ASCII without spaces: anything else would break a header apart. */
static const char *flaw(const char *text, size_t max)
{
	size_t len = strlen(text);

	if (len == 0)
		return "is empty";
	if (len > max)
		return "is too long";
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return "has a character that no credential has";
	return NULL;
}

static int set_secret(struct secret **ret, const char *source, const char *name, const char *text,
		      size_t max, struct err *err)
{
	const char *why = flaw(text, max);

	if (why)
		return err_set(err, EACCES, "%s: the %s %s", source, name, why);
	return secret_from(text, strlen(text) + 1, ret, err);
}

int aws_creds_set(struct aws_creds *ret, const char *source, const char *access_key_id,
		  const char *secret_key, const char *token, const char *expiration,
		  struct err *err)
{
	struct aws_creds c = {0};
	const char *why = access_key_id ? flaw(access_key_id, AWS_ACCESS_KEY_ID_MAX) : "is missing";
	int r;

	if (!why && strchr(access_key_id, ':'))
		why = "has a character that no credential has";
	if (why)
		return err_set(err, EACCES, "%s: the access key id %s", source, why);
	if (!secret_key)
		return err_set(err, EACCES, "%s: the secret access key is missing", source);
	if (expiration) {
		c.expires_at = aws_creds_time(expiration);
		if (c.expires_at <= 0)
			return err_set(err, EACCES, "%s: the expiration is not a time in ISO 8601",
				       source);
	}
	strcpy(c.access_key_id, access_key_id);
	(void)snprintf(c.source, sizeof(c.source), "%s", source); /* may be cut */
	r = set_secret(&c.secret_key, source, "secret access key", secret_key, AWS_SECRET_KEY_MAX,
		       err);
	if (r == 0 && token && *token)
		r = set_secret(&c.token, source, "session token", token, AWS_TOKEN_MAX, err);
	if (r < 0) {
		aws_creds_clear(&c);
		return r;
	}
	*ret = c;
	return 0;
}

static const char *optional(const struct kms_json *obj, const char *name)
{
	const struct kms_json *v = kms_json_get(obj, name);

	return v ? kms_json_string_value(v) : NULL;
}

int aws_creds_from_json(struct aws_creds *ret, const char *source, const struct kms_json *obj,
			const char *token_name, struct err *err)
{
	return aws_creds_set(ret, source, optional(obj, "AccessKeyId"),
			     optional(obj, "SecretAccessKey"), optional(obj, token_name),
			     optional(obj, "Expiration"), err);
}
