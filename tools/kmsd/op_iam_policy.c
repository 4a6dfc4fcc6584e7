/* Inline policies, managed policies, and who has them. See op_iam.h. */
#include <errno.h>
#include <string.h>

#include "err.h"
#include "fault.h"
#include "kms_json.h"
#include "op_iam.h"
#include "secret.h"

static const struct iam_document *find_document(const struct iam_principal *p, const char *name,
						bool managed)
{
	for (size_t i = 0; i < p->policy_count; i++)
		if (p->policies[i].managed == managed && strcmp(p->policies[i].name, name) == 0)
			return &p->policies[i];
	return NULL;
}

static int no_inline(struct call *call, struct err *err)
{
	return fault_set(err, FAULT_NO_SUCH_ENTITY, "The %s policy with name %s cannot be found.",
			 call->op->target, call_text(call, "PolicyName"));
}

int iam_no_policy(const char *arn, struct err *err)
{
	return fault_set(err, FAULT_NO_SUCH_ENTITY, "Policy %s was not found.", arn);
}

/* All inline policies of a principal share one quota. */
static int check_inline_size(const struct iam_principal *p, const char *name, const char *text,
			     struct err *err)
{
	size_t max = p->kind == IAM_ROLE ? IAM_ROLE_INLINE_MAX : IAM_USER_INLINE_MAX;
	size_t total = iam_document_size(text);

	for (size_t i = 0; i < p->policy_count; i++)
		if (!p->policies[i].managed && strcmp(p->policies[i].name, name) != 0)
			total += iam_document_size(p->policies[i].text);
	if (total > max)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "Maximum policy size of %zu bytes exceeded for %s %s", max,
				 p->kind == IAM_ROLE ? "role" : "user", p->name);
	return 0;
}

int op_iam_put_inline(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *name = call_text(call, "PolicyName");
	const char *text = call_text(call, "PolicyDocument");
	int r = iam_find(call, &p, err);

	r = r ? r : iam_check_document(call, text, POLICY_IDENTITY, err);
	r = r ? r : check_inline_size(p, name, text, err);
	return r ? r : store_iam_put_inline(call->kmsd->store, p, name, text, err);
}

int op_iam_get_inline(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const struct iam_document *d;
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	d = find_document(p, call_text(call, "PolicyName"), false);
	if (!d)
		return no_inline(call, err);
	r = kms_json_set_str(call->output, p->kind == IAM_ROLE ? "RoleName" : "UserName", p->name) |
	    kms_json_set_str(call->output, "PolicyName", d->name) |
	    iam_set_document(call->output, "PolicyDocument", d->text);
	return call_filled(r, err);
}

int op_iam_delete_inline(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	r = store_iam_delete_inline(call->kmsd->store, p, call_text(call, "PolicyName"), err);
	return r == -ENOENT ? no_inline(call, err) : r;
}

/* Policies lie in the order of their names within a kind. */
static int list(struct call *call, bool managed, const char *output, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *marker = call_text(call, "Marker");
	struct iam_page page;
	int r = iam_find(call, &p, err);

	r = r ? r : iam_page_begin(call, &page, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->policy_count && r == 0; i++) {
		const struct iam_document *d = &p->policies[i];
		const char *slash = strrchr(d->name, '/');
		const char *name = managed && slash ? slash + 1 : d->name;
		struct kms_json *e;

		if (d->managed != managed || (marker && strcmp(name, marker) <= 0) ||
		    !iam_page_room(&page, name))
			continue;
		if (!managed) {
			r = kms_json_add_str(page.list, name);
			continue;
		}
		e = kms_json_new_object();
		if (e)
			r = kms_json_set_str(e, "PolicyName", name) |
			    kms_json_set_str(e, "PolicyArn", d->name);
		r |= kms_json_add(page.list, e);
	}
	return iam_page_end(&page, output, r, err);
}

int op_iam_list_inline(struct call *call, struct err *err)
{
	return list(call, false, "PolicyNames", err);
}

int op_iam_list_attached(struct call *call, struct err *err)
{
	return list(call, true, "AttachedPolicies", err);
}

int op_iam_attach(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *arn = call_text(call, "PolicyArn");
	size_t count = 0;
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->policy_count; i++)
		count += p->policies[i].managed;
	if (count >= IAM_ATTACHED_MAX && !find_document(p, arn, true))
		return fault_set(err, FAULT_LIMIT_EXCEEDED, "Cannot exceed quota for %s: %d",
				 p->kind == IAM_ROLE ? "PoliciesPerRole" : "PoliciesPerUser",
				 IAM_ATTACHED_MAX);
	r = iam_own_policy(call, arn) ? store_iam_attach(call->kmsd->store, p, arn, err) : -ENOENT;
	if (r == -ENOENT)
		return fault_set(err, FAULT_NO_SUCH_ENTITY,
				 "Policy %s does not exist or is not attachable.", arn);
	return r;
}

int op_iam_detach(struct call *call, struct err *err)
{
	AUTO(cached_putp) struct iam_principal *p = NULL;
	const char *arn = call_text(call, "PolicyArn");
	int r = iam_find(call, &p, err);

	if (r < 0)
		return r;
	r = store_iam_detach(call->kmsd->store, p, arn, err);
	return r == -ENOENT ? iam_no_policy(arn, err) : r;
}

/* NULL: out of memory. */
static struct kms_json *shown(const struct iam_policy *p)
{
	struct kms_json *e = kms_json_new_object();
	char version[24];
	int r;

	if (!e)
		return NULL;
	iam_version_id(p->default_version, version);
	r = kms_json_set_str(e, "PolicyName", p->name) | kms_json_set_str(e, "PolicyId", p->id) |
	    kms_json_set_str(e, "Arn", p->arn) | kms_json_set_str(e, "Path", p->path) |
	    kms_json_set_str(e, "DefaultVersionId", version) |
	    kms_json_set_u64(e, "AttachmentCount", p->attachments) |
	    kms_json_set_u64(e, "PermissionsBoundaryUsageCount", p->boundaries) |
	    kms_json_set_bool(e, "IsAttachable", true) |
	    iam_set_time(e, "CreateDate", p->created_ms) |
	    iam_set_time(e, "UpdateDate", p->updated_ms);
	if (*p->description)
		r |= kms_json_set_str(e, "Description", p->description);
	if (r) {
		kms_json_free(e);
		return NULL;
	}
	return e;
}

int op_iam_create_policy(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	const char *text = call_text(call, "PolicyDocument"), *path = call_text(call, "Path");
	const struct iam_new wanted = {
		.account = call->place.account,
		.name = call_text(call, "PolicyName"),
		.path = path ? path : "/",
		.description = call_text(call, "Description"),
		.now_ms = call->now_ms,
	};
	int r = iam_check_document(call, text, POLICY_IDENTITY, err);

	if (r < 0)
		return r;
	if (iam_document_size(text) > IAM_MANAGED_MAX)
		return fault_set(err, FAULT_LIMIT_EXCEEDED,
				 "Cannot exceed quota for PolicySize: %d", IAM_MANAGED_MAX);
	r = store_iam_create_policy(call->kmsd->store, &wanted, text, &p, err);
	if (r == -EEXIST)
		return fault_set(err, FAULT_ENTITY_EXISTS,
				 "A policy called %s already exists. Duplicate names are not "
				 "allowed.",
				 wanted.name);
	return r ? r : call_filled(kms_json_set(call->output, "Policy", shown(p)), err);
}

bool iam_own_policy(const struct call *call, const char *arn)
{
	static const char prefix[] = "arn:aws:iam::";

	return strncmp(arn, prefix, strlen(prefix)) == 0 &&
	       strncmp(arn + strlen(prefix), call->place.account, IDS_ACCOUNT_LEN) == 0;
}

int iam_find_policy(struct call *call, struct iam_policy **ret_policy, struct err *err)
{
	const char *arn = call_text(call, "PolicyArn");
	int r = iam_own_policy(call, arn)
			? store_iam_load_policy(call->kmsd->store, arn, ret_policy, err)
			: -ENOENT;

	return r == -ENOENT ? iam_no_policy(arn, err) : r;
}

int op_iam_get_policy(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	int r = iam_find_policy(call, &p, err);

	return r ? r : call_filled(kms_json_set(call->output, "Policy", shown(p)), err);
}

int op_iam_delete_policy(struct call *call, struct err *err)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	int r = iam_find_policy(call, &p, err);

	if (r < 0)
		return r;
	r = store_iam_delete_policy(call->kmsd->store, p->arn, err);
	if (r == -ENOTEMPTY)
		return fault_set(
			err, FAULT_DELETE_CONFLICT,
			"This policy has more than one version. Before you delete a policy, "
			"you must delete the policy's versions. The default version is "
			"deleted with the policy.");
	if (r == -EBUSY)
		return fault_set(err, FAULT_DELETE_CONFLICT,
				 "Cannot delete a policy attached to entities.");
	return r == -ENOENT ? iam_no_policy(p->arn, err) : r;
}

static bool wanted(const struct call *call, const struct iam_policy *p)
{
	const char *prefix = call_text(call, "PathPrefix");
	const char *usage = call_text(call, "PolicyUsageFilter");
	uint64_t uses = p->attachments + p->boundaries;

	if (usage)
		uses = strcmp(usage, "PermissionsBoundary") == 0 ? p->boundaries : p->attachments;
	return (!prefix || strncmp(p->path, prefix, strlen(prefix)) == 0) &&
	       (uses > 0 || (!usage && !call_flag(call, "OnlyAttached")));
}

static int list_one(const char *arn, void *arg)
{
	AUTO(store_iam_free_policyp) struct iam_policy *p = NULL;
	struct iam_page *page = arg;
	struct err ignored;
	int r = store_iam_load_policy(page->call->kmsd->store, arn, &p, &ignored);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return wanted(page->call, p) && iam_page_room(page, p->name)
		       ? kms_json_add(page->list, shown(p))
		       : 0;
}

int op_iam_list_policies(struct call *call, struct err *err)
{
	const char *marker = call_text(call, "Marker"), *scope = call_text(call, "Scope");
	struct iam_page page;
	int r = iam_page_begin(call, &page, err);

	if (r < 0)
		return r;
	if (!scope || strcmp(scope, "AWS") != 0) /* AWS's own are not there */
		r = store_iam_each_policy(call->kmsd->store, call->place.account,
					  marker ? marker : "", list_one, &page, err);
	return iam_page_end(&page, "Policies", r, err);
}
