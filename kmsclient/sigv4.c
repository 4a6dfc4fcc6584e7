/* AWS Signature Version 4, each step by itself. See sigv4.h. */
#include "sigv4.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

/* Looked up once: a fetch for each signature would cost more than the hashing. */
static struct {
	CRYPTO_ONCE once;
	EVP_MD *sha256;
	EVP_MAC *hmac;
} alg = {.once = CRYPTO_ONCE_STATIC_INIT};

static void alg_fetch(void)
{
	alg.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	alg.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static int alg_ready(struct err *err)
{
	if (CRYPTO_THREAD_run_once(&alg.once, alg_fetch) != 1 || !alg.sha256 || !alg.hmac)
		return err_set(err, EIO, "libcrypto has no SHA-256 or HMAC");
	return 0;
}

int sigv4_sha256_hex(const void *bytes, size_t len, char ret_hex[SIGV4_HEX_LEN + 1],
		     struct err *err)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int r = alg_ready(err);

	if (r < 0)
		return r;
	if (EVP_Digest(bytes, len, digest, &n, alg.sha256, NULL) != 1 || n != SIGV4_KEY_LEN)
		return err_set(err, EIO, "SHA-256 failed");
	bytes_to_hex(digest, n, ret_hex);
	return 0;
}

static int hmac(const uint8_t *key, size_t key_len, const void *text, size_t len,
		uint8_t ret_mac[SIGV4_KEY_LEN], struct err *err)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC_CTX *ctx;
	size_t n = 0;
	bool ok;
	int r = alg_ready(err);

	if (r < 0)
		return r;
	ctx = EVP_MAC_CTX_new(alg.hmac);
	ok = ctx && EVP_MAC_init(ctx, key, key_len, params) == 1 &&
	     EVP_MAC_update(ctx, text, len) == 1 &&
	     EVP_MAC_final(ctx, ret_mac, &n, SIGV4_KEY_LEN) == 1 && n == SIGV4_KEY_LEN;
	EVP_MAC_CTX_free(ctx);
	return ok ? 0 : err_set(err, EIO, "HMAC-SHA256 failed");
}

static bool unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static int append_encoded(struct buf *out, const char *text, size_t len)
{
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i++) {
		if (unreserved(text[i]))
			r = buf_append(out, &text[i], 1);
		else
			r = buf_printf(out, "%%%02X", (unsigned char)text[i]);
	}
	return r;
}

struct span {
	const char *text;
	size_t len;
};

/* RFC 3986 section 5.2.4 as SigV4 wants it: no empty, "." or ".." segments stay. */
static int canonical_path(const char *path, struct buf *out, struct err *err)
{
	struct span segs[SIGV4_SEGMENTS_MAX];
	size_t count = 0, len = strlen(path);
	bool slash = len > 0 && path[len - 1] == '/';
	int r = 0;

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			count -= count > 0;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (count == SIGV4_SEGMENTS_MAX)
				return err_set(err, EINVAL, "path has more than %d segments",
					       SIGV4_SEGMENTS_MAX);
			segs[count++] = (struct span){p, n};
		}
		p += n + (p[n] == '/');
	}
	for (size_t i = 0; i < count && r == 0; i++) {
		r = buf_append(out, "/", 1);
		r = r ? r : append_encoded(out, segs[i].text, segs[i].len);
	}
	if (r == 0 && (count == 0 || slash))
		r = buf_append(out, "/", 1);
	return r < 0 ? err_set(err, -r, "canonical path") : 0;
}

/* Decode %XX (once) and encode again, so that both spellings of a byte come out as one. */
static int append_recoded(struct buf *out, const char *text, size_t len)
{
	int r = 0;

	for (size_t i = 0; i < len && r == 0; i++) {
		char c = text[i];

		if (c == '%' && i + 2 < len && bytes_hex_digit(text[i + 1]) >= 0 &&
		    bytes_hex_digit(text[i + 2]) >= 0) {
			c = (char)(bytes_hex_digit(text[i + 1]) << 4 |
				   bytes_hex_digit(text[i + 2]));
			i += 2;
		}
		r = append_encoded(out, &c, 1);
	}
	return r;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/*
 * Sort "name=value" texts by name, then by value. '=' sorts above some bytes that a name can have
 * ('-', '.', digits), so it is replaced by a byte below all of them while sorting.
 */
static void sort_pairs(char **pairs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*strchr(pairs[i], '=') = '\1';
	qsort(pairs, count, sizeof(pairs[0]), compare_texts);
	for (size_t i = 0; i < count; i++)
		*strchr(pairs[i], '\1') = '=';
}

static int recode_pair(const char *pair, size_t len, char **ret_text)
{
	struct buf b = {.max = 3 * len + 8};
	const char *eq = memchr(pair, '=', len);
	size_t name_len = eq ? (size_t)(eq - pair) : len;
	int r = append_recoded(&b, pair, name_len);

	r = r ? r : buf_append(&b, "=", 1);
	if (r == 0 && eq)
		r = append_recoded(&b, eq + 1, len - name_len - 1);
	if (r < 0) {
		buf_free(&b);
		return r;
	}
	*ret_text = (char *)b.bytes;
	return 0;
}

static int canonical_query(const char *query, struct buf *out, struct err *err)
{
	char *pairs[SIGV4_QUERY_MAX];
	size_t count = 0;
	int r = 0;

	for (const char *p = query; *p && r == 0;) {
		size_t n = strcspn(p, "&");

		if (n > 0 && count == SIGV4_QUERY_MAX)
			r = -EINVAL;
		else if (n > 0)
			r = recode_pair(p, n, &pairs[count]);
		if (n > 0 && r == 0)
			count++;
		p += n + (p[n] == '&');
	}
	if (r == 0)
		sort_pairs(pairs, count);
	for (size_t i = 0; i < count; i++) {
		if (r == 0 && i > 0)
			r = buf_append(out, "&", 1);
		r = r ? r : buf_append(out, pairs[i], strlen(pairs[i]));
		free(pairs[i]);
	}
	return r < 0 ? err_set(err, -r, "canonical query string") : 0;
}

/* A header value without white space at its ends and with single spaces inside. */
static int append_trimmed(struct buf *out, const char *value)
{
	bool started = false, space = false;
	int r = 0;

	for (; *value && r == 0; value++) {
		if (*value == ' ' || *value == '\t') {
			space = started;
			continue;
		}
		if (space)
			r = buf_append(out, " ", 1);
		r = r ? r : buf_append(out, value, 1);
		started = true;
		space = false;
	}
	return r;
}

static int canonical_headers(const struct sigv4_request *req, const char *signed_headers,
			     struct buf *out)
{
	int r = 0;

	for (const char *p = signed_headers; *p && r == 0;) {
		size_t n = strcspn(p, ";");
		bool first = true;

		r = buf_append(out, p, n);
		r = r ? r : buf_append(out, ":", 1);
		for (size_t i = 0; i < req->header_count && r == 0; i++) {
			const struct sigv4_header *h = &req->headers[i];

			if (strncasecmp(h->name, p, n) != 0 || h->name[n])
				continue;
			if (!first)
				r = buf_append(out, ",", 1);
			r = r ? r : append_trimmed(out, h->value);
			first = false;
		}
		r = r ? r : buf_append(out, "\n", 1);
		p += n + (p[n] == ';');
	}
	return r;
}

int sigv4_canonical_request(const struct sigv4_request *req, const char *signed_headers,
			    struct buf *ret, struct err *err)
{
	char hash[SIGV4_HEX_LEN + 1];
	int r = sigv4_sha256_hex(req->body_len ? req->body : "", req->body_len, hash, err);

	if (r < 0)
		return r;
	if (req->header_count > SIGV4_HEADERS_MAX)
		return err_set(err, EINVAL, "more than %d headers", SIGV4_HEADERS_MAX);
	r = buf_printf(ret, "%s\n", req->method);
	if (r < 0)
		return err_set(err, -r, "canonical request");
	r = canonical_path(req->path, ret, err);
	if (r < 0)
		return r;
	r = buf_append(ret, "\n", 1);
	if (r < 0)
		return err_set(err, -r, "canonical request");
	r = canonical_query(req->query, ret, err);
	if (r < 0)
		return r;
	r = buf_append(ret, "\n", 1);
	r = r ? r : canonical_headers(req, signed_headers, ret);
	r = r ? r : buf_printf(ret, "\n%s\n%s", signed_headers, hash);
	return r < 0 ? err_set(err, -r, "canonical request") : 0;
}

int sigv4_string_to_sign(const char *date, const struct sigv4_scope *scope,
			 const struct buf *canonical_request, struct buf *ret, struct err *err)
{
	char hash[SIGV4_HEX_LEN + 1];
	int r = sigv4_sha256_hex(canonical_request->bytes, canonical_request->len, hash, err);

	if (r < 0)
		return r;
	r = buf_printf(ret, SIGV4_ALGORITHM "\n%s\n%s/%s/%s/" SIGV4_TERMINATOR "\n%s", date,
		       scope->day, scope->region, scope->service, hash);
	return r < 0 ? err_set(err, -r, "string to sign") : 0;
}

int sigv4_signing_key(const char *secret, const struct sigv4_scope *scope,
		      uint8_t ret_key[SIGV4_KEY_LEN], struct err *err)
{
	const char *steps[] = {scope->day, scope->region, scope->service, SIGV4_TERMINATOR};
	struct buf first = {.max = 4096};
	uint8_t key[SIGV4_KEY_LEN];
	int r = buf_printf(&first, "AWS4%s", secret);

	if (r < 0)
		return err_set(err, -r, "signing key");
	r = hmac(first.bytes, first.len, steps[0], strlen(steps[0]), key, err);
	buf_free(&first);
	for (size_t i = 1; i < 4 && r == 0; i++)
		r = hmac(key, sizeof(key), steps[i], strlen(steps[i]), key, err);
	if (r == 0)
		memcpy(ret_key, key, sizeof(key));
	OPENSSL_cleanse(key, sizeof(key));
	return r;
}

int sigv4_signature(const uint8_t key[SIGV4_KEY_LEN], const char *text, size_t len,
		    char ret_hex[SIGV4_HEX_LEN + 1], struct err *err)
{
	uint8_t mac[SIGV4_KEY_LEN];
	int r = hmac(key, SIGV4_KEY_LEN, text, len, mac, err);

	if (r == 0)
		bytes_to_hex(mac, sizeof(mac), ret_hex);
	return r;
}

static void take_part(struct sigv4_authorization *a, char *ret, size_t size, const char *value,
		      size_t len)
{
	a->repeated |= ret[0] != '\0';
	if (ret[0] || len >= size) /* too long is as good as missing */
		return;
	memcpy(ret, value, len);
	ret[len] = '\0';
}

int sigv4_parse_authorization(const char *value, struct sigv4_authorization *ret)
{
	size_t n;

	memset(ret, 0, sizeof(*ret));
	value += strspn(value, " ");
	n = strlen(SIGV4_ALGORITHM);
	if (strncmp(value, SIGV4_ALGORITHM, n) != 0 || (value[n] && value[n] != ' '))
		return -EINVAL;
	for (const char *p = value + n; *p;) {
		p += strspn(p, " ,");
		n = strcspn(p, " ,");
		if (strncmp(p, "Credential=", 11) == 0)
			take_part(ret, ret->credential, sizeof(ret->credential), p + 11, n - 11);
		else if (strncmp(p, "SignedHeaders=", 14) == 0)
			take_part(ret, ret->signed_headers, sizeof(ret->signed_headers), p + 14,
				  n - 14);
		else if (strncmp(p, "Signature=", 10) == 0)
			take_part(ret, ret->signature, sizeof(ret->signature), p + 10, n - 10);
		p += n;
	}
	return 0;
}

int sigv4_parse_date(const char *text, int64_t *ret_seconds)
{
	static const char form[] = "ddddddddTddddddZ";
	struct tm tm = {0}, back;
	time_t t;

	if (strlen(text) != SIGV4_DATE_LEN)
		return -EINVAL;
	for (size_t i = 0; i < SIGV4_DATE_LEN; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return -EINVAL;
	if (sscanf(text, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec) != 6)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	back = tm;
	t = timegm(&back);
	if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
	    back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return -EINVAL; /* there is no 30 February */
	*ret_seconds = t;
	return 0;
}

void sigv4_format_date(int64_t seconds, char ret_text[SIGV4_DATE_LEN + 1])
{
	time_t t = seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) ||
	    strftime(ret_text, SIGV4_DATE_LEN + 1, "%Y%m%dT%H%M%SZ", &tm) == 0)
		memcpy(ret_text, "00000000T000000Z", SIGV4_DATE_LEN + 1);
}
