/* Which service a request is for. See service.h. */
#include "service.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "operations.h"
#include "sigv4.h"

enum { KMS, CLOUDTRAIL, IAM, STS };

static const struct service services[] = {
	[KMS] = {.name = "kms",
		 .event_source = "kms.amazonaws.com",
		 .target_prefix = "TrentService.",
		 .find = operations_find},
	[CLOUDTRAIL] = {.name = "cloudtrail",
			.event_source = "cloudtrail.amazonaws.com",
			.target_prefix = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.",
			.find = operations_find_cloudtrail},
	[IAM] = {.name = "iam",
		 .event_source = "iam.amazonaws.com",
		 .version = "2010-05-08",
		 .xmlns = "https://iam.amazonaws.com/doc/2010-05-08/",
		 .home = true,
		 .find = operations_find_iam},
	[STS] = {.name = "sts",
		 .event_source = "sts.amazonaws.com",
		 .version = "2011-06-15",
		 .xmlns = "https://sts.amazonaws.com/doc/2011-06-15/",
		 .find = operations_find_sts},
};

const char *service_header(const struct sigv4_request *req, const char *name)
{
	for (size_t i = 0; i < req->header_count; i++)
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	return NULL;
}

/* The fourth element of "Credential=ID/DAY/REGION/SERVICE/..." is @name. */
static bool signed_for(const char *authorization, const char *name)
{
	const char *p = authorization ? strstr(authorization, "Credential=") : NULL;
	size_t n = strlen(name);

	for (int i = 0; p && i < 3; i++) {
		p = strpbrk(p, "/,");
		p = p && *p == '/' ? p + 1 : NULL;
	}
	return p && strncmp(p, name, n) == 0 && p[n] == '/';
}

const struct service *service_of(const struct sigv4_request *req)
{
	static const char form[] = "application/x-www-form-urlencoded";
	const char *target = service_header(req, "X-Amz-Target");
	const char *type = service_header(req, "Content-Type");
	const char *prefix = services[CLOUDTRAIL].target_prefix;

	if (target)
		return &services[strncmp(target, prefix, strlen(prefix)) == 0 ? CLOUDTRAIL : KMS];
	if (type && strncasecmp(type, form, strlen(form)) == 0)
		return &services[signed_for(service_header(req, "Authorization"), "sts") ? STS
											 : IAM];
	return &services[KMS];
}
