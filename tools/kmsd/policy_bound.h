/*
 * Whom the principals of a policy were when it was put: their unique ids, as a text that is kept
 * beside the document ("ARN ID", a line each). So a user made anew under an old name is another.
 */
#ifndef KMSD_POLICY_BOUND_H
#define KMSD_POLICY_BOUND_H

#include "policy.h"

/* The ids that @policy was bound to. The caller frees *@ret_text. */
int policy_bound_text(const struct policy *policy, char **ret_text, struct err *err);

/*
 * The document @text for people: a principal that @now no longer gives its id of @ids, because it was
 * deleted, is shown by that id, as KMS and IAM do. The caller frees *@ret_text; it is indented anew only
 * if somebody is gone.
 */
int policy_bound_show(const char *text, const char *ids, const struct policy_resolver *now,
		      char **ret_text, struct err *err);

/* Gives the ids of such a text, which must outlive it; of whom it does not have, the ARN counts. */
struct policy_resolver policy_bound_resolver(const char *text);

#endif
