/* Calls by services of AWS. See forward.h. */
#include "forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "call.h"
#include "caller.h"
#include "datadir.h"
#include "err.h"
#include "fault.h"
#include "flow.h"
#include "kms_json.h"
#include "rootkey.h"
#include "secret.h"
#include "service.h"
#include "service_proof.h"
#include "signature.h"

#define LABEL "kmsd service credential 1"

static const struct forward_service services[] = {
	{"ec2", "ec2-frontend-api.amazonaws.com", "ebs.amazonaws.com", true},
	{"rds", "rds.amazonaws.com", "rds.amazonaws.com", false},
};

static const struct forward_service *find(const char *name)
{
	for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
		if (strcmp(services[i].name, name) == 0)
			return &services[i];
	return NULL;
}

/* --- the service credential --- */

int forward_secret(const struct rootkey *rootkey, struct secret **ret_secret, struct err *err)
{
	AUTO(secret_freep) struct secret *key = NULL;
	char hex[2 * SIGV4_KEY_LEN + 1];
	int r = rootkey_derive(rootkey, LABEL, &key, err);

	if (r < 0)
		return r;
	bytes_to_hex(secret_cbytes(key), secret_len(key), hex);
	r = secret_from(hex, IDS_SECRET_KEY_LEN, ret_secret, err);
	OPENSSL_cleanse(hex, sizeof(hex));
	return r;
}

int forward_write_credentials(int dir_fd, const struct rootkey *rootkey, struct err *err)
{
	AUTO(buf_free) struct buf text = {.max = 4096};
	struct access_key key = {.id = SERVICE_ACCESS_KEY};
	int r = forward_secret(rootkey, &key.secret, err);

	if (r < 0)
		return r;
	r = buf_printf(&text, "# Who can read this may speak to this kmsd as EC2, EBS and RDS do "
			      "to KMS.\n");
	r = r ? r : datadir_add_credentials(&text, SERVICE_PROFILE, &key);
	secret_free(key.secret);
	return r < 0 ? err_set(err, -r, "'" SERVICE_FILE "'")
		     : datadir_write(dir_fd, SERVICE_FILE, &text, err);
}

/* --- who calls --- */

static bool from_here(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
	       strncmp(address, "::ffff:127.", 11) == 0;
}

static int not_a_service(struct err *err)
{
	return fault_set(err, FAULT_UNRECOGNIZED_CLIENT,
			 "The security token included in the request is invalid.");
}

/* The proof's date must be about that of the signature, which was held against the clock. */
static bool about_now(const char *date, const char *amz_date)
{
	int64_t a, b;

	return amz_date && sigv4_parse_date(date, &a) == 0 && sigv4_parse_date(amz_date, &b) == 0 &&
	       a - b <= SIGNATURE_SKEW_SECONDS && b - a <= SIGNATURE_SKEW_SECONDS;
}

/* "DATE HEX" made with the service credential, for this very call of this caller. */
static int check_proof(const struct call *call, const struct sigv4_request *http,
		       const char *service, struct err *err)
{
	const char *given = service_header(http, SERVICE_PROOF_HEADER);
	const char *target = service_header(http, "X-Amz-Target");
	char date[SIGV4_DATE_LEN + 1] = "", day[SIGV4_DAY_LEN + 1] = "", hex[SIGV4_HEX_LEN + 1];
	const struct sigv4_scope scope = {day, call->place.region, SERVICE_PROOF_SCOPE};
	const struct service_proof proof = {.date = date,
					    .access_key_id = call->caller->access_key_id,
					    .service = service,
					    .target = target ? target : "",
					    .body = http->body,
					    .body_len = http->body_len};
	AUTO(cached_putp) struct signer *signer = NULL;
	int r;

	if (!given || strlen(given) != SIGV4_DATE_LEN + 1 + SIGV4_HEX_LEN ||
	    given[SIGV4_DATE_LEN] != ' ')
		return not_a_service(err);
	memcpy(date, given, SIGV4_DATE_LEN);
	memcpy(day, given, SIGV4_DAY_LEN);
	if (!about_now(date, service_header(http, "X-Amz-Date")))
		return not_a_service(err);
	r = callers_signer(call->kmsd->callers, SERVICE_ACCESS_KEY, NULL, &scope, call->now_ms,
			   &signer, err);
	r = r ? r : service_proof(&proof, secret_cbytes(signer->key), hex, err);
	if (r < 0)
		return r;
	return CRYPTO_memcmp(hex, given + SIGV4_DATE_LEN + 1, SIGV4_HEX_LEN) == 0
		       ? 0
		       : not_a_service(err);
}

bool forward_is_instance(const char *text)
{
	static const char role[] = ":assumed-role/" FORWARD_ROLE "/";
	char account[IDS_ACCOUNT_LEN + 1];
	int end = -1;

	return sscanf(text, "arn:aws:sts::%12[0-9]%n", account, &end) == 1 &&
	       ids_account_valid(account) && strncmp(text + end, role, sizeof(role) - 1) == 0 &&
	       ids_instance_valid(text + end + sizeof(role) - 1);
}

/* A call in a service's own name: by the service, or by the identity of an instance. */
static int take_own(struct call *call, const struct sigv4_request *http, struct err *err)
{
	const char *account = service_header(http, SERVICE_ACCOUNT_HEADER);
	const char *instance = service_header(http, SERVICE_INSTANCE_HEADER);
	struct forward *f = &call->forward;

	if (!account || !ids_account_valid(account))
		return fault_set(err, FAULT_VALIDATION,
				 SERVICE_ACCOUNT_HEADER " is missing or no account");
	if (instance && (!f->service->instances || !ids_instance_valid(instance)))
		return fault_set(err, FAULT_VALIDATION,
				 SERVICE_INSTANCE_HEADER " does not name an instance of %s",
				 f->service->name);
	f->own = true;
	f->actor = instance ? caller_of_instance(account, instance, call->caller, call->now_ms)
			    : caller_of_service(account, f->principal, call->caller);
	if (!f->actor)
		return err_set(err, ENOMEM, "service's call");
	call->caller = f->actor;
	call->place.account = f->actor->account;
	return 0;
}

int forward_take(struct call *call, const struct flow_request *request, struct err *err)
{
	const char *name = service_header(&request->http, SERVICE_HEADER);
	bool credential = call->caller->kind == CALLER_SERVICE;
	struct forward *f = &call->forward;
	int r = 0;

	if (!name && !credential)
		return 0;
	if (!name || !from_here(request->address))
		return not_a_service(err);
	f->service = find(name);
	if (!f->service || strcmp(call->service->name, "kms") != 0) {
		f->service = NULL;
		return fault_set(err, FAULT_VALIDATION,
				 SERVICE_HEADER " names no service that calls KMS");
	}
	(void)snprintf(f->principal, sizeof(f->principal), "%s.%s.amazonaws.com", name,
		       call->place.region);					/* fits */
	(void)snprintf(f->source, sizeof(f->source), "%s.amazonaws.com", name); /* fits */
	r = credential ? take_own(call, &request->http, err)
		       : check_proof(call, &request->http, name, err);
	if (r < 0)
		f->service = NULL;
	return r;
}

void forward_done(struct forward *forward)
{
	cached_put(forward->actor);
	forward->actor = NULL;
}

/* --- what clients ask --- */

bool forward_asked(const struct flow_request *request)
{
	return strcmp(request->http.method, "GET") == 0 &&
	       strcmp(request->http.path, SERVICE_PATH) == 0 && from_here(request->address);
}

int forward_answer(const struct call *call, struct kms_json *ret, struct err *err)
{
	return call_filled(kms_json_set_str(ret, "kmsd", KMSVOL_VERSION) |
				   kms_json_set_str(ret, "account", call->caller->account) |
				   kms_json_set_str(ret, "credentials", call->kmsd->service_file),
			   err);
}

/* --- grants --- */

bool forward_may_name(const struct call *call, const char *principal)
{
	return call->forward.service && !call->forward.own &&
	       strcmp(principal, call->forward.principal) == 0;
}

/* In the caller's account: the instances are the caller's. */
static bool is_own_instance(const struct call *call, const char *text)
{
	return call->forward.service->instances && forward_is_instance(text) &&
	       strncmp(text + strlen("arn:aws:sts::"), call->caller->account, IDS_ACCOUNT_LEN) == 0;
}

int forward_check_grant(const struct call *call, const char *grantee, const char *retiring,
			struct err *err)
{
	const struct forward *f = &call->forward;

	if (!f->service)
		return 0;
	if ((strcmp(grantee, f->principal) == 0 || is_own_instance(call, grantee)) && retiring &&
	    strcmp(retiring, f->principal) == 0)
		return 0;
	return fault_set(err, FAULT_VALIDATION,
			 "%s asks for grants to itself only, which it retires itself",
			 f->principal);
}
