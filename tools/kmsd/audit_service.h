/*
 * What audit records of calls by services of AWS have of their own (CloudTrail User Guide, "CloudTrail
 * userIdentity element": invokedBy, inScopeOf; the rest as recorded of EBS).
 */
#ifndef KMSD_AUDIT_SERVICE_H
#define KMSD_AUDIT_SERVICE_H

#include <stdbool.h>

struct call;
struct kms_json;

/* Who calls, as sourceIPAddress and userAgent say it; NULL: no service does. */
const char *audit_service_name(const struct call *call);

/* Add to userIdentity of a call by a service; 0 or an error of kms_json_set_*(). */
int audit_service_identity(struct kms_json *id, const struct call *call);

/*
 * Add where a call by a service came from, and @shared_id (NULL: none), the id that the records of one
 * call in several accounts share; a service's call has one always. As above.
 */
int audit_service_place(struct kms_json *rec, const struct call *call, const char *shared_id);

/* Whether a service has retired its grant: what it asked for is not logged, but the grant is. */
bool audit_service_retires(const struct call *call);

#endif
