/* A caller's own policies, compiled. See identity.h. */
#include "identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "caller.h"
#include "err.h"

static int add(struct identity *identity, enum policy_kind kind, const struct iam_document *doc,
	       struct err *err)
{
	struct policy_named *named = &identity->named[identity->count];
	struct policy *policy = NULL;
	int r = policy_parse(kind, doc->text, strlen(doc->text), NULL, &policy, err);

	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return err_set(err, EUCLEAN, "stored policy '%s' makes no sense",
			       doc->name ? doc->name : "of a session");
	*named = (struct policy_named){doc->name ? doc->name : "session", policy};
	identity->count++;
	return 0;
}

static int add_all(struct identity *identity, enum policy_kind kind,
		   const struct iam_document *docs, size_t count, struct policy_set *set,
		   struct err *err)
{
	int r = 0;

	set->list = identity->named + identity->count;
	for (size_t i = 0; i < count && r == 0; i++)
		r = add(identity, kind, &docs[i], err);
	set->count = (size_t)(identity->named + identity->count - set->list);
	return r;
}

int identity_new(const struct caller *caller, struct identity **ret_identity, struct err *err)
{
	const struct iam_principal *p = caller->principal;
	size_t own = p ? p->policy_count : 0, bounds = p && p->boundary ? 1 : 0;
	struct identity *identity = calloc(1, sizeof(*identity));
	int r = 0;

	if (identity)
		identity->named = calloc(own + bounds + caller->session_policy_count + 1,
					 sizeof(*identity->named));
	if (!identity || !identity->named)
		r = err_set(err, ENOMEM, "caller's policies");
	if (r == 0 && own)
		r = add_all(identity, POLICY_IDENTITY, p->policies, own, &identity->policies, err);
	if (r == 0 && bounds)
		r = add_all(identity, POLICY_BOUNDARY, p->boundary, 1, &identity->boundary, err);
	if (r == 0)
		r = add_all(identity, POLICY_SESSION, caller->session_policies,
			    caller->session_policy_count, &identity->session, err);
	if (r < 0)
		identity_free(identity);
	else
		*ret_identity = identity;
	return r;
}

void identity_free(struct identity *identity)
{
	if (!identity)
		return;
	for (size_t i = 0; i < identity->count; i++)
		policy_free((struct policy *)identity->named[i].policy); /* made here */
	free(identity->named);
	free(identity);
}
