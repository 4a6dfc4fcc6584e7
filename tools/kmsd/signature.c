/* SigV4 verified. See signature.h. */
#include "signature.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "caller.h"
#include "err.h"
#include "fault.h"
#include "secret.h"
#include "sigv4.h"

#define CANONICAL_MAX 65536

/* The credential scope, split at its slashes. */
struct scope {
	char text[4 * SIGV4_ID_MAX];
	const char *access_key_id, *day, *region, *service, *terminator;
};

static const char *find_header(const struct sigv4_request *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	return NULL;
}

static unsigned count_header(const struct sigv4_request *req, const char *name)
{
	unsigned count = 0;

	for (size_t i = 0; i < req->header_count; i++)
		count += strcasecmp(req->headers[i].name, name) == 0;
	return count;
}

/* X-Amz-Date, or Date as HTTP writes it. "": neither, or not a date. */
static void request_date(const struct sigv4_request *req, char ret_date[SIGV4_DATE_LEN + 1])
{
	const char *text = find_header(req, "X-Amz-Date");
	struct tm tm = {0};
	int64_t t;

	ret_date[0] = '\0';
	if (text) {
		if (sigv4_parse_date(text, &t) == 0)
			memcpy(ret_date, text, SIGV4_DATE_LEN + 1);
		return;
	}
	text = find_header(req, "Date");
	if (text && sigv4_parse_date(text, &t) == 0)
		memcpy(ret_date, text, SIGV4_DATE_LEN + 1);
	else if (text && strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		sigv4_format_date(timegm(&tm), ret_date);
}

static int check_complete(const struct sigv4_authorization *a, const char *date, const char *header,
			  struct err *err)
{
	char missing[512];
	int n;

	if (a->credential[0] && a->signature[0] && a->signed_headers[0] && date[0])
		return 0;
	n = snprintf(
		missing, sizeof(missing), "%s%s%s%s",
		a->credential[0] ? "" : "Authorization header requires 'Credential' parameter. ",
		a->signature[0] ? "" : "Authorization header requires 'Signature' parameter. ",
		a->signed_headers[0] ? ""
				     : "Authorization header requires 'SignedHeaders' parameter. ",
		date[0] ? ""
			: "Authorization header requires existence of either a 'X-Amz-Date' or a "
			  "'Date' header. ");
	(void)n; /* fits: the four texts are shorter */
	return fault_set(err, FAULT_INCOMPLETE_SIGNATURE, "%sAuthorization=%s", missing, header);
}

static int split_credential(const char *credential, struct scope *ret, struct err *err)
{
	const char **parts[] = {&ret->access_key_id, &ret->day, &ret->region, &ret->service,
				&ret->terminator};
	char *p = ret->text;
	size_t n = 0;

	(void)snprintf(ret->text, sizeof(ret->text), "%s", credential); /* as large */
	while (p && n < 5) {
		*parts[n++] = p;
		p = strchr(p, '/');
		if (p)
			*p++ = '\0';
	}
	if (p || n < 5)
		return fault_set(err, FAULT_INCOMPLETE_SIGNATURE,
				 "Credential must have exactly 5 slash-delimited elements, e.g. "
				 "keyid/date/region/service/term, got '%s'",
				 credential);
	return 0;
}

static bool right_region(const struct scope *s, const struct signature_place *place)
{
	return strcmp(s->region, place->region) == 0 || ids_region_known(s->region);
}

static int check_scope(const struct scope *s, const struct signature_place *place, const char *date,
		       struct err *err)
{
	AUTO(buf_free) struct buf b = {.max = 4096};
	int r = 0;

	if (!right_region(s, place))
		r = buf_printf(&b, "Credential should be scoped to a valid region, not '%s'. ",
			       s->region);
	if (r == 0 && strcmp(s->service, place->service) != 0)
		r = buf_printf(&b, "Credential should be scoped to correct service: '%s'. ",
			       place->service);
	if (r == 0 && strcmp(s->terminator, SIGV4_TERMINATOR) != 0)
		r = buf_printf(&b,
			       "Credential should be scoped with a valid terminator: "
			       "'" SIGV4_TERMINATOR "', not '%s'. ",
			       s->terminator);
	if (r == 0 &&
	    (strlen(s->day) != SIGV4_DAY_LEN || strncmp(s->day, date, SIGV4_DAY_LEN) != 0))
		r = buf_printf(&b,
			       "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
			       "version of date from HTTP: '%s' != '%.8s', from '%s'. ",
			       s->day, date, date);
	if (r < 0)
		return err_set(err, -r, "credential scope");
	return b.len ? fault_set(err, FAULT_INVALID_SIGNATURE, "%s", (char *)b.bytes) : 0;
}

static int check_clock(const char *date, int64_t now, struct err *err)
{
	char now_text[SIGV4_DATE_LEN + 1], bound[SIGV4_DATE_LEN + 1];
	int64_t t = 0;

	if (sigv4_parse_date(date, &t) < 0)
		return err_set(err, EINVAL, "date '%s'", date);
	sigv4_format_date(now, now_text);
	if (t < now - SIGNATURE_SKEW_SECONDS) {
		sigv4_format_date(now - SIGNATURE_SKEW_SECONDS, bound);
		return fault_set(err, FAULT_INVALID_SIGNATURE,
				 "Signature expired: %s is now earlier than %s (%s - 5 min.)", date,
				 bound, now_text);
	}
	if (t > now + SIGNATURE_SKEW_SECONDS) {
		sigv4_format_date(now + SIGNATURE_SKEW_SECONDS, bound);
		return fault_set(
			err, FAULT_INVALID_SIGNATURE,
			"Signature not yet current: %s is still later than %s (%s + 5 min.)", date,
			bound, now_text);
	}
	return 0;
}

static bool in_signed_headers(const char *list, const char *name, size_t n)
{
	for (const char *p = list; *p;) {
		size_t len = strcspn(p, ";");

		if (len == n && strncmp(p, name, n) == 0)
			return true;
		p += len + (p[len] == ';');
	}
	return false;
}

static int compare(const struct sigv4_request *req, const struct sigv4_authorization *a,
		   const struct sigv4_scope *scope, const char *date, const struct signer *signer,
		   struct err *err)
{
	AUTO(buf_free) struct buf canonical = {.max = CANONICAL_MAX};
	AUTO(buf_free) struct buf to_sign = {.max = CANONICAL_MAX};
	char hex[SIGV4_HEX_LEN + 1];
	int r = sigv4_canonical_request(req, a->signed_headers, &canonical, err);

	r = r ? r : sigv4_string_to_sign(date, scope, &canonical, &to_sign, err);
	r = r ? r
	      : sigv4_signature(secret_cbytes(signer->key), (char *)to_sign.bytes, to_sign.len, hex,
				err);
	if (r == -EINVAL || r == -EMSGSIZE) /* of a size that nobody signs */
		return fault_set(err, FAULT_INVALID_SIGNATURE, NULL);
	if (r < 0)
		return r;
	if (strlen(a->signature) == SIGV4_HEX_LEN &&
	    CRYPTO_memcmp(a->signature, hex, SIGV4_HEX_LEN) == 0)
		return 0;
	return fault_set(
		err, FAULT_INVALID_SIGNATURE,
		"The request signature we calculated does not match the signature you "
		"provided. Check your AWS Secret Access Key and signing method. Consult the "
		"service documentation for details.\n\nThe Canonical String for this request "
		"should have been\n'%s'\n\nThe String-to-Sign should have been\n'%s'\n",
		(char *)canonical.bytes, (char *)to_sign.bytes);
}

/*
 * An x-amz- header that is not signed could be changed on the way, the target among them ("AWS Signature
 * Version 4", create a canonical request: host and any x-amz-* headers must be signed). So are ours.
 */
static int check_signed_headers(const struct sigv4_request *req, const char *list, struct err *err)
{
	char name[64];

	if (!in_signed_headers(list, "host", 4))
		return fault_set(err, FAULT_INVALID_SIGNATURE,
				 "'Host' must be a 'SignedHeader' in the AWS Authorization.");
	for (size_t i = 0; i < req->header_count; i++) {
		const char *given = req->headers[i].name;
		size_t n = strlen(given);

		if (strncasecmp(given, "x-amz-", 6) != 0 && strncasecmp(given, "x-kmsd-", 7) != 0)
			continue;
		for (size_t k = 0; k <= n && k < sizeof(name); k++)
			name[k] = (char)tolower((unsigned char)given[k]);
		if (n >= sizeof(name) || !in_signed_headers(list, name, n))
			return fault_set(
				err, FAULT_INVALID_SIGNATURE,
				"'%.60s' must be a 'SignedHeader' in the AWS Authorization.",
				given);
	}
	return 0;
}

/*
 * A signature covers all values of a header, and we would go by the first: what decides anything must stand once. So must each
 * name in SignedHeaders; the canonical request has it once.
 */
static int check_once(const struct sigv4_request *req, const struct sigv4_authorization *a,
		      struct err *err)
{
	static const char *const names[] = {"X-Amz-Date", "Date", "X-Amz-Target",
					    "X-Amz-Security-Token", "Content-Type"};
	unsigned count = 0;

	if (a->repeated || count_header(req, "Authorization") > 1)
		return fault_set(err, FAULT_INCOMPLETE_SIGNATURE,
				 "Authorization header requires each parameter once.");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (count_header(req, names[i]) > 1)
			return fault_set(err, FAULT_INVALID_SIGNATURE,
					 "'%s' must stand once in the request.", names[i]);
	for (const char *p = a->signed_headers; *p;) {
		size_t n = strcspn(p, ";");

		if (++count > SIGV4_HEADERS_MAX)
			return fault_set(err, FAULT_INVALID_SIGNATURE,
					 "'SignedHeaders' has more than %d names.",
					 SIGV4_HEADERS_MAX);
		if (p[n] && in_signed_headers(p + n + 1, p, n))
			return fault_set(err, FAULT_INVALID_SIGNATURE,
					 "'%.*s' must stand once in 'SignedHeaders'.",
					 (int)(n < 60 ? n : 60), p);
		p += n + (p[n] == ';');
	}
	return 0;
}

/* Everything about the header but the signature itself. */
static int check_form(const struct sigv4_request *req, const struct signature_place *place,
		      int64_t now, struct sigv4_authorization *a, struct scope *scope,
		      char ret_date[SIGV4_DATE_LEN + 1], struct err *err)
{
	const char *header = find_header(req, "Authorization");
	int r;

	if (!header || sigv4_parse_authorization(header, a) < 0)
		return fault_set(err, FAULT_MISSING_TOKEN,
				 "Request is missing Authentication Token");
	request_date(req, ret_date);
	r = check_complete(a, ret_date, header, err);
	r = r ? r : check_once(req, a, err);
	r = r ? r : split_credential(a->credential, scope, err);
	if (r < 0)
		return r;
	r = check_signed_headers(req, a->signed_headers, err);
	r = r ? r : check_scope(scope, place, ret_date, err);
	return r ? r : check_clock(ret_date, now, err);
}

int signature_check(struct callers *callers, const struct sigv4_request *req,
		    const struct signature_place *place, const struct signature_time *now,
		    struct signature_signer *ret, struct err *err)
{
	struct sigv4_authorization a;
	struct scope parts;
	char date[SIGV4_DATE_LEN + 1];
	AUTO(cached_putp) struct signer *signer = NULL;
	struct sigv4_scope scope;
	int r = check_form(req, place, now->real_ms / 1000, &a, &parts, date, err);

	if (r < 0)
		return r;
	scope = (struct sigv4_scope){parts.day, parts.region, parts.service};
	r = callers_signer(callers, parts.access_key_id, find_header(req, "X-Amz-Security-Token"),
			   &scope, now->server_ms, &signer, err);
	if (r == -ENOKEY)
		return fault_set(err, FAULT_UNRECOGNIZED_CLIENT,
				 "The security token included in the request is invalid.");
	if (r == -EKEYEXPIRED)
		return fault_set(err, FAULT_EXPIRED_TOKEN,
				 "The security token included in the request is expired");
	r = r ? r : compare(req, &a, &scope, date, signer, err);
	if (r < 0)
		return r;
	ret->caller = cached_get(signer->caller);
	(void)snprintf(ret->region, sizeof(ret->region), "%s", parts.region); /* a region's name */
	return 0;
}
