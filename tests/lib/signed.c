/* Signed requests as bytes. See signed.h. */
#include "signed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

static const char *setting(const char *name, struct err *err)
{
	const char *value = getenv(name);

	if (!value || !*value)
		(void)err_set(err, EINVAL, "%s is not set", name);
	return value && *value ? value : NULL;
}

int signer_init(struct signer *signer, struct err *err)
{
	const char *url = setting("AWS_ENDPOINT_URL", err),
		   *secret = setting("AWS_SECRET_ACCESS_KEY", err);
	struct sigv4_scope scope;
	unsigned port;
	char ip[64];

	*signer = (struct signer){.address.sin_family = AF_INET};
	signer->id = setting("AWS_ACCESS_KEY_ID", err);
	signer->region = setting("AWS_REGION", err);
	if (!url || !secret || !signer->id || !signer->region)
		return -EINVAL;
	if (sscanf(url, "http://%63[0-9.]:%u", ip, &port) != 2 ||
	    inet_pton(AF_INET, ip, &signer->address.sin_addr) != 1)
		return err_set(err, EINVAL, "'%s' is not http://ADDRESS:PORT", url);
	signer->address.sin_port = htons((uint16_t)port);
	signer->host = url + strlen("http://");
	sigv4_format_date(time(NULL), signer->date);
	memcpy(signer->day, signer->date, SIGV4_DAY_LEN); /* the NUL is there */
	scope = (struct sigv4_scope){signer->day, signer->region, "kms"};
	return sigv4_signing_key(secret, &scope, signer->key, err);
}

int signer_request(const struct signer *signer, const char *operation, const char *body,
		   char **ret_bytes, size_t *ret_len, struct err *err)
{
	static const char names[] = "host;x-amz-date;x-amz-target";
	const struct sigv4_scope scope = {signer->day, signer->region, "kms"};
	AUTO(buf_free) struct buf canonical = {.max = 1 << 20}, text = {.max = 65536};
	char target[128], hex[SIGV4_HEX_LEN + 1];
	const struct sigv4_header headers[] = {
		{"Host", signer->host}, {"X-Amz-Date", signer->date}, {"X-Amz-Target", target}};
	struct sigv4_request req = {"POST", "/", "", headers, 3, body, strlen(body)};
	int r;

	(void)snprintf(target, sizeof(target), "TrentService.%s",
		       operation); /* cut: it is unknown then */
	r = sigv4_canonical_request(&req, names, &canonical, err);
	r = r ? r : sigv4_string_to_sign(signer->date, &scope, &canonical, &text, err);
	r = r ? r : sigv4_signature(signer->key, (char *)text.bytes, text.len, hex, err);
	if (r < 0)
		return r;
	r = asprintf(ret_bytes,
		     "POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Date: %s\r\nX-Amz-Target: %s\r\n"
		     "Content-Type: application/x-amz-json-1.1\r\nContent-Length: %zu\r\n"
		     "Authorization: " SIGV4_ALGORITHM " Credential=%s/%s/%s/kms/" SIGV4_TERMINATOR
		     ", SignedHeaders=%s, Signature=%s\r\n\r\n%s",
		     signer->host, signer->date, target, req.body_len, signer->id, signer->day,
		     signer->region, names, hex, body);
	if (r < 0)
		return err_set(err, ENOMEM, "request");
	*ret_len = (size_t)r;
	return 0;
}

int signer_connect(const struct signer *signer, struct err *err)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, num;

	if (fd >= 0 &&
	    connect(fd, (const struct sockaddr *)&signer->address, sizeof(signer->address)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0)
		return fd;
	num = errno;
	if (fd >= 0)
		(void)close(fd); /* nothing was written */
	return err_set(err, num, "%s: %s", signer->host, strerror(num));
}

const char *signer_reply_body(const char *reply, size_t len, int *ret_ok)
{
	static const char name[] = "\r\nContent-Length:";
	const char *end = strstr(reply, "\r\n\r\n"), *length = strcasestr(reply, name);

	if (!end || !length || length > end)
		return NULL;
	end += strlen("\r\n\r\n");
	*ret_ok = strncmp(reply, "HTTP/1.1 200 ", strlen("HTTP/1.1 200 ")) == 0;
	return len - (size_t)(end - reply) < strtoul(length + strlen(name), NULL, 10) ? NULL : end;
}
