/* Speaking for services to a kmsd. See kms_service.h. */
#include "kms_service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "aws_ini.h"
#include "err.h"
#include "kms_http.h"
#include "kms_json.h"
#include "secret.h"
#include "service_proof.h"

bool kms_service_is_here(const char *endpoint)
{
	char host[256];
	bool tls;

	return kms_http_check_url(endpoint, &tls, host, NULL) == 0 &&
	       (strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
		strcmp(host, "[::1]") == 0);
}

/*
 * A file that a server names is only looked into when it is called as kmsd calls it, and when nobody but
 * its owner may read it, who is us (root reads what others own).
 */
static bool is_ours(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	return path[0] == '/' && strcmp(slash + 1, SERVICE_FILE) == 0 && lstat(path, &st) == 0 &&
	       S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 &&
	       (st.st_uid == geteuid() || geteuid() == 0);
}

static int read_file(const char *path, struct kms_service *s, struct err *err)
{
	struct aws_ini *ini = NULL;
	const char *id, *secret;
	int r;

	if (!is_ours(path) || aws_ini_load(path, &ini, err) < 0)
		return err_set(err, ENOENT, "'%.512s' is not ours to read", path);
	id = aws_ini_get(ini, NULL, SERVICE_PROFILE, NULL, "aws_access_key_id");
	secret = aws_ini_get(ini, NULL, SERVICE_PROFILE, NULL, "aws_secret_access_key");
	if (id && secret && strcmp(id, SERVICE_ACCESS_KEY) == 0)
		r = aws_creds_set(&s->creds, SERVICE_FILE, id, secret, NULL, NULL, err);
	else
		r = err_set(err, ENOENT, "'%.512s' holds no service credential", path);
	aws_ini_free(ini);
	return r;
}

int kms_service_read(const struct kms_json *answer, struct kms_service **ret_service,
		     struct err *err)
{
	struct kms_service *s = NULL;
	const char *account, *path;
	int r;

	if (kms_json_str(answer, "account", &account, err) < 0 ||
	    kms_json_str(answer, "credentials", &path, err) < 0 || strlen(account) != 12 ||
	    strspn(account, "0123456789") != 12)
		return err_set(err, ENOENT, "the answer is not that of a kmsd");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, ENOMEM, "out of memory");
	strcpy(s->account, account);
	r = read_file(path, s, err);
	if (r < 0)
		kms_service_free(s);
	else
		*ret_service = s;
	return r;
}

void kms_service_free(struct kms_service *service)
{
	if (!service)
		return;
	aws_creds_clear(&service->creds);
	free(service);
}

static int add(struct kms_service_headers *h, const char *name, const char *value, struct err *err)
{
	int n = snprintf(h->lines[h->count], KMS_SERVICE_LINE_MAX, "%s: %s", name, value);

	if (n < 0 || n >= KMS_SERVICE_LINE_MAX)
		return err_set(err, EINVAL, "header %s is too long", name);
	h->count++;
	return 0;
}

static int add_proof(const struct kms_service *service, const char *name,
		     const struct kms_service_call *call, struct kms_service_headers *h,
		     struct err *err)
{
	char date[SIGV4_DATE_LEN + 1], day[SIGV4_DAY_LEN + 1] = "";
	char text[SIGV4_DATE_LEN + 1 + SIGV4_HEX_LEN + 1];
	const struct sigv4_scope scope = {day, call->region, SERVICE_PROOF_SCOPE};
	const struct service_proof proof = {.date = date,
					    .access_key_id = call->caller->access_key_id,
					    .service = name,
					    .target = call->target,
					    .body = call->body,
					    .body_len = strlen(call->body)};
	AUTO(secret_freep) struct secret *key = NULL;
	int r = secret_new(SIGV4_KEY_LEN, &key, err);

	sigv4_format_date(call->now, date);
	memcpy(day, date, SIGV4_DAY_LEN);
	r = r ? r
	      : sigv4_signing_key(aws_creds_text(service->creds.secret_key), &scope,
				  secret_bytes(key), err);
	(void)snprintf(text, sizeof(text), "%s ", date); /* fits */
	r = r ? r : service_proof(&proof, secret_cbytes(key), text + SIGV4_DATE_LEN + 1, err);
	return r ? r : add(h, SERVICE_PROOF_HEADER, text, err);
}

int kms_service_headers(const struct kms_service *service, const struct kms_actor *actor,
			const struct kms_service_call *call, struct kms_service_headers *ret,
			struct err *err)
{
	int r = 0;

	*ret = (struct kms_service_headers){0};
	if (!actor->service)
		return 0;
	if (!actor->own)
		r = add_proof(service, actor->service, call, ret, err);
	else
		r = add(ret, SERVICE_ACCOUNT_HEADER, service->account, err);
	if (r == 0 && actor->own && actor->instance)
		r = add(ret, SERVICE_INSTANCE_HEADER, actor->instance, err);
	return r ? r : add(ret, SERVICE_HEADER, actor->service, err);
}
