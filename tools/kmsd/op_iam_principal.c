/* Users and roles: made, shown, changed, deleted. The row's target says which. See op_iam.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bytes.h"
#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "op_iam.h"
#include "policy_bound.h"
#include "principals.h"
#include "secret.h"

#define SESSION_DEFAULT 3600 /* seconds */

static int set_boundary(struct kms_json *e, const struct iam_principal *p)
{
	struct kms_json *b;

	if (!p->boundary)
		return 0;
	b = kms_json_new_object();
	if (!b)
		return -ENOMEM;
	return kms_json_set_str(b, "PermissionsBoundaryType", "Policy") |
	       kms_json_set_str(b, "PermissionsBoundaryArn", p->boundary->name) |
	       kms_json_set(e, "PermissionsBoundary", b);
}

/* Whom it names and who is gone is shown by id, as AWS does. */
static int set_trust(struct kms_json *e, const struct call *call, const struct iam_principal *p)
{
	const struct policy_resolver now = principals_of(call->kmsd);
	AUTO(freep) char *text = NULL;
	struct err ignored;

	if (policy_bound_show(p->trust, p->trust_ids, &now, &text, &ignored) < 0)
		return -ENOMEM;
	return iam_set_document(e, "AssumeRolePolicyDocument", text);
}

/* As the API shows it; lists leave tags and boundary out. NULL: out of memory. */
static struct kms_json *shown(const struct call *call, const struct iam_principal *p, bool whole)
{
	struct kms_json *e = kms_json_new_object();
	bool role = p->kind == IAM_ROLE;
	int r;

	if (!e)
		return NULL;
	r = kms_json_set_str(e, "Path", p->path) |
	    kms_json_set_str(e, role ? "RoleName" : "UserName", p->name) |
	    kms_json_set_str(e, role ? "RoleId" : "UserId", p->id) |
	    kms_json_set_str(e, "Arn", p->arn) | iam_set_time(e, "CreateDate", p->created_ms);
	if (role)
		r |= set_trust(e, call, p) |
		     kms_json_set_i64(e, "MaxSessionDuration", p->max_session_s);
	if (role && *p->description)
		r |= kms_json_set_str(e, "Description", p->description);
	if (whole)
		r |= set_boundary(e, p);
	if (whole && p->tag_count)
		r |= iam_set_tags(e, p->tags, p->tag_count);
	if (r) {
		kms_json_free(e);
		return NULL;
	}
	return e;
}

static const char *member(const struct call *call)
{
	return iam_kind_of(call) == IAM_ROLE ? "Role" : "User";
}

/* What stands for whom it names, *@ret_ids, the caller frees. */
static int check_trust(struct call *call, const char *text, char **ret_ids, struct err *err)
{
	const struct policy_resolver resolver = principals_or_foreign(call->kmsd);
	AUTO(policy_freep) struct policy *policy = NULL;
	int r;

	if (iam_document_size(text) > IAM_TRUST_MAX)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "Cannot exceed quota for ACLSizePerRole: %d", IAM_TRUST_MAX);
	r = policy_parse(POLICY_TRUST, text, strlen(text), &resolver, &policy, err);
	return r ? r : policy_bound_text(policy, ret_ids, err);
}

static int no_boundary(const char *arn, struct err *err)
{
	return fault_set(err, FAULT_NO_SUCH_ENTITY,
			 "Scope ARN: %s does not exist or is not attachable.", arn);
}

int op_iam_create(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	AUTO(freep) struct iam_tag *tags = NULL;
	bool role = iam_kind_of(call) == IAM_ROLE;
	const char *path = call_text(call, "Path");
	struct iam_new wanted = {
		.kind = iam_kind_of(call),
		.account = call->place.account,
		.name = call_text(call, role ? "RoleName" : "UserName"),
		.path = path ? path : "/",
		.description = call_text(call, "Description"),
		.trust = call_text(call, "AssumeRolePolicyDocument"),
		.boundary_arn = call_text(call, "PermissionsBoundary"),
		.max_session_s = call_number(call, "MaxSessionDuration", SESSION_DEFAULT),
		.now_ms = call->now_ms,
	};
	AUTO(freep) char *ids = NULL;
	int r = role ? check_trust(call, wanted.trust, &ids, err) : 0;

	wanted.trust_ids = ids;
	r = r ? r : iam_take_tags(call, &tags, &wanted.tag_count, err);
	wanted.tags = tags;
	if (r == 0 && wanted.boundary_arn && !iam_own_policy(call, wanted.boundary_arn))
		r = no_boundary(wanted.boundary_arn, err);
	r = r ? r : store_iam_create(call->kmsd->store, &wanted, &p, err);
	if (r == -EEXIST)
		return fault_set(err, FAULT_ENTITY_EXISTS, "%s with name %s already exists.",
				 member(call), wanted.name);
	if (r == -ENOENT)
		return no_boundary(wanted.boundary_arn, err);
	return r ? r
		 : call_filled(kms_json_set(call->output, member(call), shown(call, p, true)), err);
}

/* GetUser without a name by the root user shows root. */
static int get_root(struct call *call, struct err *err)
{
	const struct caller *c = call->caller;
	struct kms_json *e = kms_json_new_object();
	int r = -ENOMEM;

	if (e)
		r = kms_json_set_str(e, "UserId", c->account) | kms_json_set_str(e, "Arn", c->arn) |
		    iam_set_time(e, "CreateDate", 0);
	return call_filled(r | kms_json_set(call->output, "User", e), err);
}

int op_iam_get(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	int r;

	if (iam_kind_of(call) == IAM_USER && !call_text(call, "UserName") &&
	    call->caller->kind == CALLER_ROOT)
		return get_root(call, err);
	r = iam_kind_of(call) == IAM_ROLE ? iam_find(call, &p, err)
					  : iam_find_or_self(call, &p, err);
	return r ? r
		 : call_filled(kms_json_set(call->output, member(call), shown(call, p, true)), err);
}

int op_iam_delete(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	struct err why = {0};
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	r = store_iam_delete(call->kmsd->store, p, &why);
	if (r == -EBUSY)
		return fault_set(err, FAULT_DELETE_CONFLICT, "%s", why.msg);
	if (r == -ENOENT) /* another request was faster */
		return fault_set(err, FAULT_NO_SUCH_ENTITY, "The %s with name %s cannot be found.",
				 call->op->target, p->name);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int list_one(const char *id, void *arg)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	struct iam_page *page = arg;
	const char *prefix = call_text(page->call, "PathPrefix");
	struct err ignored;
	int r = store_iam_principal(page->call->kmsd->store, id, &p, &ignored);

	if (r == -ENOENT || (r == 0 && prefix && strncmp(p->path, prefix, strlen(prefix)) != 0))
		return 0;
	if (r < 0)
		return r;
	return iam_page_room(page, p->name) ? kms_json_add(page->list, shown(page->call, p, false))
					    : 0;
}

int op_iam_list(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker");
	struct iam_page page;
	int r = iam_page_begin(call, &page, err);

	if (r < 0)
		return r;
	r = store_iam_each(call->kmsd->store, call->place.account, iam_kind_of(call),
			   marker ? marker : "", list_one, &page, err);
	return iam_page_end(&page, iam_kind_of(call) == IAM_ROLE ? "Roles" : "Users", r, err);
}

int op_iam_update_trust(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *text = call_text(call, "PolicyDocument");
	AUTO(freep) char *ids = NULL;
	int r = iam_find(call, &p, err);

	r = r ? r : check_trust(call, text, &ids, err);
	return r ? r : store_iam_set_trust(call->kmsd->store, p, text, ids, err);
}

int op_iam_put_boundary(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *arn = call_text(call, "PermissionsBoundary");
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	r = iam_own_policy(call, arn) ? store_iam_set_boundary(call->kmsd->store, p, arn, err)
				      : -ENOENT;
	return r == -ENOENT ? no_boundary(arn, err) : r;
}

int op_iam_delete_boundary(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	int r = iam_find(call, &p, err);

	return r ? r : store_iam_set_boundary(call->kmsd->store, p, NULL, err);
}

static bool has_tag(const struct iam_principal *p, const char *key)
{
	for (size_t i = 0; i < p->tag_count; i++)
		if (strcmp(p->tags[i].key, key) == 0)
			return true;
	return false;
}

int op_iam_tag(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	AUTO(freep) struct iam_tag *tags = NULL;
	size_t n = 0, total;
	int r = iam_find(call, &p, err);

	r = r ? r : iam_take_tags(call, &tags, &n, err);
	if (r < 0)
		return r;
	total = p->tag_count;
	for (size_t i = 0; i < n; i++)
		total += !has_tag(p, tags[i].key);
	if (total > IAM_TAGS_MAX)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "The number of tags has reached the maximum limit.");
	for (size_t i = 0; i < n && r == 0; i++)
		r = store_iam_set_tag(call->kmsd->store, p, tags[i].key, tags[i].value, err);
	return r;
}

int op_iam_untag(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const struct kms_json *keys = kms_json_get(call->input, "TagKeys");
	int r = iam_find(call, &p, err);

	for (size_t i = 0; r == 0 && i < kms_json_count(keys); i++)
		r = store_iam_set_tag(call->kmsd->store, p,
				      kms_json_string_value(kms_json_at(keys, i)), NULL, err);
	return r;
}

int op_iam_list_tags(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	return call_filled(iam_set_tags(call->output, p->tags, p->tag_count) |
				   kms_json_set_bool(call->output, "IsTruncated", false),
			   err);
}
