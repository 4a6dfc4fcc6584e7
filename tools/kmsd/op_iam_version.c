/* The versions of managed policies. See op_iam.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "op_iam.h"
#include "secret.h"

void iam_version_id(int64_t number, char ret[24])
{
	(void)snprintf(ret, 24, "v%" PRId64, number); /* fits */
}

/* The number in VersionId, whose form was validated; what is too long is no version. */
static int64_t number_of(const struct call *call)
{
	const char *text = call_text(call, "VersionId");

	return strlen(text) < 16 ? strtoll(text + 1, NULL, 10) : 0;
}

static int no_version(const struct call *call, struct err *err)
{
	return fault_set(err, FAULT_NO_SUCH_ENTITY,
			 "Policy %s version %s does not exist or is not attachable.",
			 call_text(call, "PolicyArn"), call_text(call, "VersionId"));
}

/* NULL: out of memory. */
static struct kms_json *shown(const struct iam_version *v)
{
	struct kms_json *e = kms_json_new_object();
	char id[24];

	iam_version_id(v->number, id);
	if (e && (kms_json_set_str(e, "VersionId", id) |
		  kms_json_set_bool(e, "IsDefaultVersion", v->is_default) |
		  iam_set_time(e, "CreateDate", v->created_ms))) {
		kms_json_free(e);
		return NULL;
	}
	return e;
}

int op_iam_create_version(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	const char *text = call_text(call, "PolicyDocument");
	struct iam_version v = {.created_ms = call->now_ms,
				.is_default = call_flag(call, "SetAsDefault")};
	int r = iam_find_policy(call, &p, err);

	r = r ? r : iam_check_document(call, text, POLICY_IDENTITY, err);
	if (r == 0 && iam_document_size(text) > IAM_MANAGED_MAX)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "Cannot exceed quota for PolicySize: %d", IAM_MANAGED_MAX);
	r = r ? r
	      : store_iam_create_version(call->kmsd->store, p->arn, text, v.is_default,
					 call->now_ms, &v.number, err);
	if (r == -E2BIG)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "A managed policy can have up to %d versions. Before you create a "
				 "new version, you must delete an existing version.",
				 IAM_VERSIONS_MAX);
	return r ? r : call_filled(kms_json_set(call->output, "PolicyVersion", shown(&v)), err);
}

int op_iam_set_default_version(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	int r = iam_find_policy(call, &p, err);

	r = r ? r
	      : store_iam_set_default_version(call->kmsd->store, p->arn, number_of(call),
					      call->now_ms, err);
	return r == -ENOENT ? no_version(call, err) : r;
}

int op_iam_delete_version(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	int r = iam_find_policy(call, &p, err);

	r = r ? r : store_iam_delete_version(call->kmsd->store, p->arn, number_of(call), err);
	if (r == -EBUSY)
		return fault_set(err, FAULT_DELETE_CONFLICT,
				 "Cannot delete the default version of a policy.");
	return r == -ENOENT ? no_version(call, err) : r;
}

struct listing {
	struct kms_json *out; /* an array, or the object that one version is put into */
	int64_t wanted;	      /* 0: all */
	int found;
};

static int list_one(const struct iam_version *v, void *arg)
{
	struct listing *l = arg;
	struct kms_json *e;

	if (!l->wanted)
		return kms_json_add(l->out, shown(v));
	if (v->number != l->wanted)
		return 0;
	l->found = 1;
	e = shown(v);
	if (e && iam_set_document(e, "Document", v->text)) {
		kms_json_free(e);
		e = NULL;
	}
	return kms_json_set(l->out, "PolicyVersion", e);
}

int op_iam_get_policy_version(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	struct listing l = {.out = call->output, .wanted = number_of(call)};
	int r = l.wanted ? iam_find_policy(call, &p, err) : no_version(call, err);

	r = r ? r : store_iam_each_version(call->kmsd->store, p->arn, list_one, &l, err);
	if (r < 0)
		return r;
	return l.found ? 0 : no_version(call, err);
}

int op_iam_list_versions(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	struct listing l = {.out = kms_json_new_array()};
	int r = l.out ? iam_find_policy(call, &p, err) : err_set(err, ENOMEM, "versions");

	r = r ? r : store_iam_each_version(call->kmsd->store, p->arn, list_one, &l, err);
	if (r < 0) {
		kms_json_free(l.out);
		return r;
	}
	return call_filled(kms_json_set(call->output, "Versions", l.out) |
				   kms_json_set_bool(call->output, "IsTruncated", false),
			   err);
}
