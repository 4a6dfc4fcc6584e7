/* Audit records. See audit.h. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit_service.h"
#include "call.h"
#include "err.h"
#include "ids.h"
#include "kms_json.h"
#include "secret.h"
#include "service.h"

int audit_time(int64_t ms, char ret[AUDIT_TIME_MAX])
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	return gmtime_r(&t, &tm) && strftime(ret, AUDIT_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm)
		       ? 0
		       : -EINVAL;
}

/* The role of a session; an instance's has no name of its own. */
static int fill_issuer(struct kms_json *issuer, const struct caller *caller)
{
	const struct iam_principal *p = caller->principal;
	char id[IDS_ACCOUNT_LEN + 1 + sizeof(FORWARD_ROLE)];

	(void)snprintf(id, sizeof(id), "%s:" FORWARD_ROLE, caller->account); /* fits */
	return kms_json_set_str(issuer, "type", "Role") |
	       kms_json_set_str(issuer, "principalId", p ? p->id : id) |
	       kms_json_set_str(issuer, "arn", caller->issuer_arn) |
	       kms_json_set_str(issuer, "accountId", caller->account) |
	       kms_json_set_str(issuer, "userName", p ? p->name : FORWARD_ROLE);
}

/* Of temporary credentials: when they were made, and by which role. */
static int put_session(struct kms_json *id, const struct caller *caller, int64_t issued_ms)
{
	struct kms_json *context = kms_json_new_object(), *issuer = kms_json_new_object();
	struct kms_json *attributes = kms_json_new_object();
	bool of_role = caller->kind == CALLER_ROLE || caller->kind == CALLER_INSTANCE;
	char when[AUDIT_TIME_MAX];
	int r = audit_time(issued_ms, when);

	if (!context || !issuer || !attributes)
		r = -ENOMEM;
	if (r == 0 && of_role)
		r = fill_issuer(issuer, caller);
	if (r == 0)
		r = kms_json_set_str(attributes, "creationDate", when) |
		    kms_json_set_str(attributes, "mfaAuthenticated", "false");
	if (r == 0 && of_role)
		r = kms_json_set(context, "sessionIssuer", issuer);
	else
		kms_json_free(issuer);
	if (r == 0) {
		r = kms_json_set(context, "attributes", attributes);
		return r | kms_json_set(id, "sessionContext", context);
	}
	kms_json_free(attributes);
	kms_json_free(context);
	return r;
}

/* As the account that owns the key sees a caller of another account. */
static struct kms_json *stranger(const struct caller *caller)
{
	struct kms_json *id = kms_json_new_object();

	if (id && (kms_json_set_str(id, "type", "AWSAccount") |
		   kms_json_set_str(id, "principalId", caller->principal_id) |
		   kms_json_set_str(id, "accountId", caller->account))) {
		kms_json_free(id);
		return NULL;
	}
	return id;
}

static int fill_identity(struct kms_json *id, const struct caller *caller)
{
	static const char *const types[] = {[CALLER_ROOT] = "Root",
					    [CALLER_USER] = "IAMUser",
					    [CALLER_ROLE] = "AssumedRole",
					    [CALLER_INSTANCE] = "AssumedRole",
					    [CALLER_SERVICE] = "AWSService"};
	int r;

	if (!caller)
		return kms_json_set_str(id, "type", "Unknown") |
		       kms_json_set_str(id, "accountId", "ANONYMOUS_PRINCIPAL");
	r = kms_json_set_str(id, "type", types[caller->kind]);
	if (caller->kind == CALLER_SERVICE)
		return r;
	r |= kms_json_set_str(id, "principalId", caller->principal_id) |
	     kms_json_set_str(id, "arn", caller->arn) |
	     kms_json_set_str(id, "accountId", caller->account) |
	     kms_json_set_str(id, "accessKeyId", caller->access_key_id);
	if (caller->kind == CALLER_USER)
		r |= kms_json_set_str(id, "userName", caller->principal->name);
	return r;
}

static struct kms_json *identity(const struct call *call)
{
	const struct caller *caller = call->caller;
	bool forwarded = call->forward.service && caller->kind != CALLER_SERVICE;
	struct kms_json *id = kms_json_new_object();
	int r = id ? fill_identity(id, caller) : -ENOMEM;

	/* A service acts for a caller with a session that it gets for that. */
	if (r == 0 && caller && (caller->expires_ms || forwarded))
		r = put_session(id, caller, caller->issued_ms ? caller->issued_ms : call->now_ms);
	if (r == 0 && call->forward.service)
		r = audit_service_identity(id, call);
	if (r) {
		kms_json_free(id);
		return NULL;
	}
	return id;
}

static struct kms_json *small_names(const struct kms_json *v);

/* The names in an encryption context are the client's and stay as they are. */
static struct kms_json *small_member(const char *name, const struct kms_json *v)
{
	return strstr(name, "EncryptionContext") ? kms_json_copy(v) : small_names(v);
}

static int put_small(const char *name, struct kms_json *value, void *arg)
{
	char small[64];

	if (strcmp(name, "SecretAccessKey") == 0 || strcmp(name, "SessionToken") == 0)
		return 0; /* never in a record */
	validate_member_name(name, small);
	return kms_json_set(arg, small, small_member(name, value));
}

/* A copy whose members' names begin small, without secrets. NULL: out of memory. */
static struct kms_json *small_names(const struct kms_json *v)
{
	struct kms_json *out;

	if (kms_json_type(v) == KMS_JSON_ARRAY) {
		out = kms_json_new_array();
		for (size_t i = 0; out && i < kms_json_count(v); i++)
			if (kms_json_add(out, small_names(kms_json_at(v, i)))) {
				kms_json_free(out);
				return NULL;
			}
		return out;
	}
	if (kms_json_type(v) != KMS_JSON_OBJECT)
		return kms_json_copy(v);
	out = kms_json_new_object();
	if (out && kms_json_each(v, put_small, out)) {
		kms_json_free(out);
		return NULL;
	}
	return out;
}

/* Members of the input with small first letters; what is hidden stays out. */
static struct kms_json *parameters(const struct call *call)
{
	struct kms_json *out = kms_json_new_object();
	int r = 0;

	if (!out)
		return NULL;
	for (const struct member *m = call->op->members; m && m->name; m++) {
		const struct kms_json *v = kms_json_get(call->input, m->name);
		char name[64];

		if (!v || (m->flags & MEMBER_HIDDEN))
			continue;
		validate_member_name(m->name, name);
		r |= kms_json_set(out, name, small_member(m->name, v));
	}
	for (const struct member *m = call->op->members; m && m->name; m++) {
		char name[64];

		if (m->shape != SHAPE_ALGORITHM || kms_json_get(call->input, m->name))
			continue;
		validate_member_name(m->name, name);
		r |= kms_json_set_str(out, name, "SYMMETRIC_DEFAULT"); /* as AWS fills it in */
	}
	if (r) {
		kms_json_free(out);
		return NULL;
	}
	return out;
}

/* As in AWS, they are left out of what was denied, and where no key was found. */
static int put_parameters(struct kms_json *rec, const struct call *call,
			  const struct audit_source *source, int denied)
{
	bool nowhere = call->resource_count == 0 && source->error_code &&
		       strcmp(source->error_code, "NotFoundException") == 0;

	if (denied || nowhere || !call->op || !call->caller || audit_service_retires(call))
		return kms_json_set_null(rec, "requestParameters");
	return kms_json_set(rec, "requestParameters", parameters(call));
}

static int put_response(struct kms_json *rec, const struct call *call, int failed)
{
	struct kms_json *e;

	if (failed || !call->op || (call->op->read_only && !call->op->log_output))
		return kms_json_set_null(rec, "responseElements");
	if (!call->service->target_prefix && kms_json_count(call->output) > 0)
		return kms_json_set(rec, "responseElements", small_names(call->output));
	if (!call->service->target_prefix)
		return kms_json_set_null(rec, "responseElements");
	if (call->response_elements)
		return kms_json_set(rec, "responseElements",
				    kms_json_copy(call->response_elements));
	if (call->resource_count == 0)
		return kms_json_set_null(rec, "responseElements");
	e = kms_json_new_object();
	if (!e)
		return -ENOMEM;
	return kms_json_set_str(e, "keyId", call->resources[0]) |
	       kms_json_set(rec, "responseElements", e);
}

/* The account in "arn:aws:SERVICE:REGION:ACCOUNT:...". */
static void owner_of(const char *arn, char ret[IDS_ACCOUNT_LEN + 1])
{
	for (int i = 0; i < 4 && arn; i++) {
		arn = strchr(arn, ':');
		arn = arn ? arn + 1 : NULL;
	}
	(void)snprintf(ret, IDS_ACCOUNT_LEN + 1, "%s", arn ? arn : ""); /* cut: what is behind */
}

static int put_resources(struct kms_json *rec, const struct call *call)
{
	struct kms_json *list = kms_json_new_array();
	int r = 0;

	if (!list)
		return -ENOMEM;
	for (unsigned i = 0; i < call->resource_count; i++) {
		const char *type = call->resource_types[i];
		struct kms_json *e = kms_json_new_object();
		char account[IDS_ACCOUNT_LEN + 1];

		owner_of(call->resources[i], account);
		if (e)
			r |= kms_json_set_str(e, "accountId", account) |
			     kms_json_set_str(e, "type", type ? type : "AWS::KMS::Key") |
			     kms_json_set_str(e, "ARN", call->resources[i]);
		r |= kms_json_add(list, e);
	}
	return r | kms_json_set(rec, "resources", list);
}

static int put_additional(struct kms_json *rec, const struct call *call)
{
	bool retired = audit_service_retires(call);
	struct kms_json *e;

	if (!call->material_hex[0] && !retired)
		return 0;
	e = kms_json_new_object();
	if (!e)
		return -ENOMEM;
	return (retired ? kms_json_set_str(e, "grantId", call->grant_id)
			: kms_json_set_str(e, "keyMaterialId", call->material_hex)) |
	       kms_json_set(rec, "additionalEventData", e);
}

/* CloudTrail's codes lack "Exception" for what IAM refused. */
static int put_error(struct kms_json *rec, const struct audit_source *source, int denied)
{
	int r;

	if (!source->error_code)
		return 0;
	r = kms_json_set_str(rec, "errorCode", denied ? "AccessDenied" : source->error_code);
	if (source->error_message && source->error_message[0])
		r |= kms_json_set_str(rec, "errorMessage", source->error_message);
	return r;
}

/* Whose record it is. */
struct view {
	const char *account;
	const char *event_id;
	const char *shared_id; /* the same in the records of all accounts; NULL: there is one */
	bool foreign;	       /* the caller is of another account */
};

static int fill(struct kms_json *rec, const struct call *call, const struct audit_source *source,
		const struct view *view, struct err *err)
{
	int denied = source->error_code && strcmp(source->error_code, "AccessDeniedException") == 0;
	const char *who = audit_service_name(call); /* NULL: no service calls */
	const char *agent = who ? who : source->user_agent;
	char when[AUDIT_TIME_MAX];
	int r;

	if (audit_time(call->now_ms, when) < 0)
		return err_set(err, EINVAL, "audit record: time");
	r = kms_json_set_str(rec, "eventVersion", "1.11") |
	    kms_json_set(rec, "userIdentity",
			 view->foreign ? stranger(call->caller) : identity(call)) |
	    kms_json_set_str(rec, "eventTime", when) |
	    kms_json_set_str(rec, "eventSource", call->service->event_source) |
	    kms_json_set_str(rec, "eventName", source->event_name) |
	    kms_json_set_str(rec, "awsRegion",
			     call->service->home ? "us-east-1" : call->place.region) |
	    kms_json_set_str(rec, "sourceIPAddress", who ? who : source->address) |
	    kms_json_set_str(rec, "userAgent", agent ? agent : "-") |
	    put_error(rec, source, denied) | put_parameters(rec, call, source, denied) |
	    put_response(rec, call, source->error_code != NULL) | put_additional(rec, call) |
	    kms_json_set_str(rec, "requestID", source->request_id) |
	    kms_json_set_str(rec, "eventID", view->event_id) |
	    kms_json_set_bool(rec, "readOnly", call->op && call->op->read_only);
	if (!denied && call->resource_count > 0)
		r |= put_resources(rec, call);
	r |= kms_json_set_str(rec, "eventType", "AwsApiCall") |
	     kms_json_set_bool(rec, "managementEvent", true) |
	     kms_json_set_str(rec, "recipientAccountId", view->account) |
	     audit_service_place(rec, call, view->shared_id) |
	     kms_json_set_str(rec, "eventCategory", "Management");
	return r ? err_set(err, ENOMEM, "audit record") : 0;
}

static int append(struct audit *audit, const struct call *call, const struct audit_source *source,
		  const struct view *view, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *rec = kms_json_new_object();
	int r = rec ? fill(rec, call, source, view, err) : err_set(err, ENOMEM, "audit record");

	return r ? r : audit_append(audit, rec, err);
}

/* The accounts, other than the caller's, whose keys were used. */
static unsigned other_owners(const struct call *call, char ret[][IDS_ACCOUNT_LEN + 1])
{
	unsigned count = 0;

	for (unsigned i = 0; call->caller && i < call->resource_count; i++) {
		char account[IDS_ACCOUNT_LEN + 1];
		bool known;

		owner_of(call->resources[i], account);
		known = strcmp(account, call->caller->account) == 0;
		for (unsigned k = 0; k < count; k++)
			known |= strcmp(account, ret[k]) == 0;
		if (!known)
			memcpy(ret[count++], account, sizeof(account));
	}
	return count;
}

int audit_write(struct audit *audit, const struct call *call, const struct audit_source *source,
		struct err *err)
{
	bool denied =
		source->error_code && strcmp(source->error_code, "AccessDeniedException") == 0;
	char owners[CALL_RESOURCES_MAX][IDS_ACCOUNT_LEN + 1];
	char event_id[IDS_UUID_LEN + 1], shared_id[IDS_UUID_LEN + 1];
	unsigned count = denied ? 0 : other_owners(call, owners);
	struct view view = {.account = call->place.account, .event_id = call->event_id};
	int r = count > 0 ? ids_uuid(shared_id, err) : 0;

	if (r < 0)
		return r;
	view.shared_id = count > 0 ? shared_id : NULL;
	r = append(audit, call, source, &view, err);
	view.foreign = true;
	view.event_id = event_id;
	for (unsigned i = 0; i < count && r == 0; i++) {
		view.account = owners[i];
		r = ids_uuid(event_id, err);
		r = r ? r : append(audit, call, source, &view, err);
	}
	return r;
}
