/* What the operations of IAM and STS share, and the operations themselves. */
#ifndef KMSD_OP_IAM_H
#define KMSD_OP_IAM_H

#include "call.h"
#include "policy.h"

/* MalformedPolicyDocument, also when a trust policy names who is not there. */
int iam_check_document(struct call *call, const char *text, enum policy_kind kind, struct err *err);

/* May the caller do the row's action on what its target names? AccessDenied. */
int iam_authorize(struct call *call, struct err *err);

/* IAM_ROLE for rows of roles, else IAM_USER. */
enum iam_kind iam_kind_of(const struct call *call);

/* The user or role that UserName or RoleName names. NoSuchEntity. */
int iam_find(struct call *call, struct iam_principal **ret_principal, struct err *err);

/* As iam_find(); without UserName, the calling user. */
int iam_find_or_self(struct call *call, struct iam_principal **ret_principal, struct err *err);

/* The managed policy that PolicyArn names, of the caller's account; NoSuchEntity. Its sentence alone. */
int iam_find_policy(struct call *call, struct iam_policy **ret_policy, struct err *err);
int iam_no_policy(const char *arn, struct err *err);

/* Whether the ARN is of the caller's account: those of others are not there for it. */
bool iam_own_policy(const struct call *call, const char *arn);

/* "v2". */
void iam_version_id(int64_t number, char ret[24]);

/* Characters of a document that count for quotas: all but white space. */
size_t iam_document_size(const char *text);

/* Set a member to a time as XML has it, or to a document as IAM returns it, URL-encoded. */
int iam_set_time(struct kms_json *v, const char *name, int64_t ms);
int iam_set_document(struct kms_json *v, const char *name, const char *text);
int iam_set_tags(struct kms_json *v, const struct iam_tag *tags, size_t count);

/*
 * The input's Tags as an array that borrows its texts; the caller frees the array. InvalidInput,
 * LimitExceeded.
 */
int iam_take_tags(struct call *call, struct iam_tag **ret_tags, size_t *ret_count, struct err *err);

/* A page of a list: elements are appended until MaxItems are there. */
struct iam_page {
	struct call *call;
	struct kms_json *list; /* owned until iam_page_end() */
	size_t max;
	bool more;
	char last[IAM_NAME_MAX + 1]; /* the marker of the next page */
};

int iam_page_begin(struct call *call, struct iam_page *page, struct err *err);
/* Whether an element by that name still fits; if not, the list is cut. */
bool iam_page_room(struct iam_page *page, const char *name);
/* Put the list into the output as @member, with IsTruncated and Marker. @r as of the filling. */
int iam_page_end(struct iam_page *page, const char *member, int r, struct err *err);

/* op_iam_principal.c: users and roles alike */
int op_iam_create(struct call *call, struct err *err);
int op_iam_get(struct call *call, struct err *err);
int op_iam_delete(struct call *call, struct err *err);
int op_iam_list(struct call *call, struct err *err);
int op_iam_update_trust(struct call *call, struct err *err);
int op_iam_put_boundary(struct call *call, struct err *err);
int op_iam_delete_boundary(struct call *call, struct err *err);
int op_iam_tag(struct call *call, struct err *err);
int op_iam_untag(struct call *call, struct err *err);
int op_iam_list_tags(struct call *call, struct err *err);
/* op_iam_policy.c */
int op_iam_put_inline(struct call *call, struct err *err);
int op_iam_get_inline(struct call *call, struct err *err);
int op_iam_delete_inline(struct call *call, struct err *err);
int op_iam_list_inline(struct call *call, struct err *err);
int op_iam_attach(struct call *call, struct err *err);
int op_iam_detach(struct call *call, struct err *err);
int op_iam_list_attached(struct call *call, struct err *err);
int op_iam_create_policy(struct call *call, struct err *err);
int op_iam_get_policy(struct call *call, struct err *err);
int op_iam_delete_policy(struct call *call, struct err *err);
int op_iam_list_policies(struct call *call, struct err *err);
/* op_iam_version.c */
int op_iam_create_version(struct call *call, struct err *err);
int op_iam_set_default_version(struct call *call, struct err *err);
int op_iam_delete_version(struct call *call, struct err *err);
int op_iam_get_policy_version(struct call *call, struct err *err);
int op_iam_list_versions(struct call *call, struct err *err);
/* op_iam_key.c */
int op_iam_create_key(struct call *call, struct err *err);
int op_iam_update_key(struct call *call, struct err *err);
int op_iam_delete_key(struct call *call, struct err *err);
int op_iam_list_keys(struct call *call, struct err *err);
/* op_sts.c */
int op_sts_get_caller_identity(struct call *call, struct err *err);
int op_sts_assume_role(struct call *call, struct err *err);
int op_sts_get_session_token(struct call *call, struct err *err);
/* op_events.c */
int op_lookup_events(struct call *call, struct err *err);

#endif
