/*
 * Credentials over HTTP from beside the program: the container endpoint (Amazon ECS, EKS Pod
 * Identity) and the instance metadata service, version 2 (Amazon EC2 User Guide, "Retrieve
 * security credentials from instance metadata"). Neither is ever asked through a proxy. See
 * creds_provider.h.
 */
#include "creds_provider.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include "aws_creds.h"
#include "aws_profile.h"
#include "err.h"
#include "kms_http.h"
#include "kms_json.h"

#define CONTAINER_TIMEOUT_MS 2000
#define CONTAINER_TRIES	     3
#define CONTAINER_BASE	     "http://169.254.170.2"
#define INSTANCE_TIMEOUT_MS  1000
#define INSTANCE_BASE	     "http://169.254.169.254"
#define INSTANCE_BASE_V6     "http://[fd00:ec2::254]"
#define INSTANCE_PATH	     "/latest/meta-data/iam/security-credentials/"
#define TOKEN_TTL	     "21600" /* seconds, the longest */
#define URL_MAX		     1200
#define TOKEN_MAX	     4096

/* One line of text that can stand in a header. */
static bool is_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static int parse(const struct kms_http_answer *answer, const char *source, struct aws_creds *ret,
		 struct err *err)
{
	const char *text = answer->body.bytes ? (const char *)answer->body.bytes : "";
	struct kms_json *obj = NULL;
	int r = kms_json_parse(text, answer->body.len, &obj, err);

	if (r < 0)
		return err_set(err, r == -ENOMEM ? ENOMEM : EACCES,
			       "%s: the answer is not a JSON object", source);
	r = aws_creds_from_json(ret, source, obj, "Token", err);
	kms_json_free(obj);
	return r < 0 ? r : 1;
}

/* Where a container may send its token: by TLS anywhere, without only to the machine itself. */
static bool container_host_allowed(const char *host)
{
	struct in_addr a;

	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
	       strcmp(host, "169.254.170.2") == 0 || strcmp(host, "169.254.170.23") == 0 ||
	       strcmp(host, "[fd00:ec2::23]") == 0 ||
	       (inet_pton(AF_INET, host, &a) == 1 && (ntohl(a.s_addr) >> 24) == 127);
}

static int container_url(char ret_url[URL_MAX], struct err *err)
{
	const char *relative = aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	char host[256];
	bool tls;
	int n, r;

	if (!relative && !full)
		return 0;
	if (relative)
		n = snprintf(ret_url, URL_MAX, CONTAINER_BASE "%s%s", *relative == '/' ? "" : "/",
			     relative);
	else
		n = snprintf(ret_url, URL_MAX, "%s", full);
	if (n >= URL_MAX)
		return err_set(err, EACCES, "AWS_CONTAINER_CREDENTIALS_*_URI is too long");
	if (relative)
		return 1;
	r = kms_http_check_url(full, &tls, host, err);
	if (r == -EINVAL)
		return err_set(err, EACCES,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL that "
			       "can be used: it must be http or https, with a host");
	if (r < 0)
		return r;
	if (!tls && !container_host_allowed(host))
		return err_set(err, EACCES,
			       "AWS_CONTAINER_CREDENTIALS_FULL_URI: without TLS, '%s' must be a "
			       "loopback address or that of ECS or EKS",
			       host);
	return 1;
}

/* Write "Authorization: ..." when there is a token. The file, which may change, goes first. */
static int container_authorization(struct buf *ret_line, struct err *err)
{
	const char *path = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	struct buf text = {.max = TOKEN_MAX};
	int r = 0;

	if (path) {
		FILE *f = fopen(path, "re");
		int c;

		if (!f)
			return err_set(err, EACCES,
				       "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE '%s': %s", path,
				       strerror(errno));
		(void)setvbuf(f, NULL, _IONBF,
			      0); /* no copy that nobody wipes; the file is small */
		while (r == 0 && (c = fgetc(f)) != EOF && c != '\n' && c != '\r') {
			char one = (char)c;

			r = buf_append(&text, &one, 1);
		}
		(void)fclose(f); /* only read from */
		token = text.bytes ? (const char *)text.bytes : "";
	}
	if (r == 0 && token && (!*token || !is_line(token)))
		r = err_set(err, EACCES, "AWS_CONTAINER_AUTHORIZATION_TOKEN%s has no token in it",
			    path ? "_FILE" : "");
	else if (r == 0 && token)
		r = buf_printf(ret_line, "Authorization: %s", token);
	if (r == -EMSGSIZE || r == -ENOMEM)
		r = err_set(err, EACCES, "AWS_CONTAINER_AUTHORIZATION_TOKEN%s is too long",
			    path ? "_FILE" : "");
	buf_free(&text);
	return r;
}

int creds_from_container(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	static const char source[] = "the AWS container credentials endpoint";
	struct buf line = {.max = TOKEN_MAX + 64};
	struct kms_http_answer answer = {0};
	struct kms_http_request request = {
		.method = "GET", .timeout_ms = CONTAINER_TIMEOUT_MS, .no_proxy = true};
	char url[URL_MAX];
	int r = container_url(url, err);

	if (r == 0)
		creds_looked(ask, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI",
			     "not set");
	if (r <= 0)
		return r;
	r = container_authorization(&line, err);
	request.url = url;
	request.headers[0] = (const char *)line.bytes;
	for (unsigned n = 0; r == 0 && n < CONTAINER_TRIES; n++) {
		kms_http_answer_done(&answer);
		r = kms_http_do(ask->http, &request, &answer, err);
		if (r == 0 && answer.status < 500)
			break;
		if (r == -ETIMEDOUT || r == -ECONNRESET)
			r = n + 1 < CONTAINER_TRIES ? 0 : -ETIMEDOUT;
	}
	buf_free(&line);
	if (r == -ETIMEDOUT)
		return err_set(err, ETIMEDOUT, "%s: '%s' cannot be reached: %s", source, url,
			       err ? err->msg : "");
	if (r == 0 && answer.status != 200)
		r = err_set(err, answer.status >= 500 ? ETIMEDOUT : EACCES,
			    "%s: '%s' answered with HTTP status %d", source, url, answer.status);
	if (r == 0)
		r = parse(&answer, source, ret, err);
	kms_http_answer_done(&answer);
	return r;
}

/* The instance metadata service, while it is being asked. */
struct instance {
	struct creds_ask *ask;
	char base[URL_MAX - 400];
	struct buf token; /* the header line */
};

static const char *instance_setting(const struct creds_ask *ask, const char *variable,
				    const char *key)
{
	const char *value = aws_env(variable);

	return value ? value : aws_profile_get(ask->profile, key);
}

static int instance_base(struct instance *in, struct err *err)
{
	const char *url = instance_setting(in->ask, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
					   "ec2_metadata_service_endpoint");
	const char *mode = instance_setting(in->ask, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
					    "ec2_metadata_service_endpoint_mode");
	char host[256];
	size_t len;
	bool tls;

	if (!url)
		url = mode && strcasecmp(mode, "ipv6") == 0 ? INSTANCE_BASE_V6 : INSTANCE_BASE;
	len = strlen(url);
	while (len && url[len - 1] == '/')
		len--;
	if (len >= sizeof(in->base) || kms_http_check_url(url, &tls, host, err) < 0)
		return err_set(err, EACCES,
			       "AWS_EC2_METADATA_SERVICE_ENDPOINT is not a URL that can be used");
	memcpy(in->base, url, len);
	in->base[len] = '\0';
	return 0;
}

static int instance_ask(struct instance *in, const char *method, const char *path,
			const char *header, struct kms_http_answer *ret, struct err *err)
{
	char url[URL_MAX];
	struct kms_http_request request = {.method = method,
					   .url = url,
					   .headers = {header},
					   .timeout_ms = INSTANCE_TIMEOUT_MS,
					   .no_proxy = true};

	if (snprintf(url, sizeof(url), "%s%s", in->base, path) >= (int)sizeof(url))
		return err_set(err, EINVAL, "the name of the role is too long");
	return kms_http_do(in->ask->http, &request, ret, err);
}

/* Not here; but when it was here before, it is only out of reach. */
static int instance_absent(struct instance *in, const char *why, struct err *err)
{
	char where[sizeof(in->base) + 64];

	(void)snprintf(where, sizeof(where), "EC2 instance metadata at '%s'", in->base);
	if (in->ask->instance_worked)
		return err_set(err, ETIMEDOUT, "%s: cannot renew the credentials: %s", where, why);
	creds_looked(in->ask, where, why);
	return 0;
}

/* One step: 1 answered with status 200; 0 or a negative errno: that is the provider's result. */
static int instance_step(struct instance *in, const char *method, const char *path,
			 const char *header, struct kms_http_answer *ret, struct err *err)
{
	int r = instance_ask(in, method, path, header, ret, err);
	char why[160];

	if (r == -ECANCELED || r == -ENOMEM)
		return r;
	if (r < 0) {
		(void)snprintf(why, sizeof(why), "%.150s", err ? err->msg : "no answer");
		return instance_absent(in, why, err);
	}
	if (ret->status == 200 && ret->body.len > 0)
		return 1;
	if (ret->status == 404 && strcmp(method, "GET") == 0)
		(void)snprintf(why, sizeof(why), "the instance has no role");
	else
		(void)snprintf(why, sizeof(why), "HTTP status %d", ret->status);
	kms_http_answer_done(ret);
	return instance_absent(in, why, err);
}

static int instance_token(struct instance *in, struct err *err)
{
	struct kms_http_answer answer = {0};
	int r = instance_step(in, "PUT", "/latest/api/token",
			      "X-aws-ec2-metadata-token-ttl-seconds: " TOKEN_TTL, &answer, err);

	if (r <= 0)
		return r;
	if (!is_line((const char *)answer.body.bytes) ||
	    buf_printf(&in->token, "X-aws-ec2-metadata-token: %s", (char *)answer.body.bytes) < 0)
		r = instance_absent(in, "its token makes no sense", err);
	kms_http_answer_done(&answer);
	return r;
}

/* The path of the role's credentials. Its name is from the network: only what IAM allows. */
static int instance_role(struct instance *in, char ret_path[256], struct err *err)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_+=,.@-";
	struct kms_http_answer answer = {0};
	int r = instance_step(in, "GET", INSTANCE_PATH, (const char *)in->token.bytes, &answer,
			      err);
	const char *name;
	size_t len;

	if (r <= 0)
		return r;
	name = (const char *)answer.body.bytes;
	len = strspn(name, allowed);
	if (len == 0 || len > 64 || (name[len] && name[len] != '\n' && name[len] != '\r'))
		r = instance_absent(in, "the name of its role makes no sense", err);
	else
		(void)snprintf(ret_path, 256, INSTANCE_PATH "%.*s", (int)len, name);
	kms_http_answer_done(&answer);
	return r;
}

int creds_from_instance(struct creds_ask *ask, struct aws_creds *ret, struct err *err)
{
	struct instance in = {.ask = ask, .token = {.max = TOKEN_MAX}};
	struct kms_http_answer answer = {0};
	char path[256];
	int r;

	if (aws_is_true(aws_env("AWS_EC2_METADATA_DISABLED"))) {
		creds_looked(ask, "EC2 instance metadata", "AWS_EC2_METADATA_DISABLED is set");
		return 0;
	}
	r = instance_base(&in, err);
	if (r < 0)
		return r;
	r = instance_token(&in, err);
	if (r > 0)
		r = instance_role(&in, path, err);
	if (r > 0)
		r = instance_step(&in, "GET", path, (const char *)in.token.bytes, &answer, err);
	if (r > 0)
		r = parse(&answer, "the role of the EC2 instance", ret, err);
	kms_http_answer_done(&answer);
	buf_free(&in.token);
	return r;
}
