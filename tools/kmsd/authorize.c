/* The decision. See authorize.h. */
#include "authorize.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "fault.h"

static bool is_root(const struct authorize_request *request)
{
	char root[64];

	(void)snprintf(root, sizeof(root), "arn:aws:iam::%.12s:root", request->principal_account);
	return strcmp(request->principal_arn, root) == 0;
}

int authorize(const struct authorize_request *request, struct err *err)
{
	const char *reason = "no identity-based policy";

	if (strcmp(request->principal_account, request->resource_account) != 0)
		reason = "no resource-based policy";
	else if (is_root(request))
		return 0;
	return fault_set(err, FAULT_ACCESS_DENIED,
			 "User: %s is not authorized to perform: kms:%s on resource: %s because %s "
			 "allows the kms:%s action",
			 request->principal_arn, request->action, request->resource_arn, reason,
			 request->action);
}
