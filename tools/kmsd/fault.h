/*
 * The exceptions that KMS answers with (AWS KMS API Reference, "Common Errors" and each operation's
 * errors): a table of name, HTTP status and the spelling of the text's member. A fault travels up
 * as struct err with code, aws_message and http_status set; an err without code is our own trouble
 * and becomes KMSInternalException.
 */
#ifndef KMSD_FAULT_H
#define KMSD_FAULT_H

#include <stdbool.h>

struct buf;
struct err;

enum fault {
	FAULT_ACCESS_DENIED,
	FAULT_ALREADY_EXISTS,
	FAULT_DELETE_CONFLICT,
	FAULT_DEPENDENCY_TIMEOUT,
	FAULT_DISABLED,
	FAULT_DRY_RUN,
	FAULT_ENTITY_EXISTS,
	FAULT_EVENT_CATEGORY,
	FAULT_EXPIRED_TOKEN,
	FAULT_INCOMPLETE_SIGNATURE,
	FAULT_INCORRECT_KEY,
	FAULT_INTERNAL_FAILURE,
	FAULT_INVALID_ALIAS_NAME,
	FAULT_INVALID_ARN,
	FAULT_INVALID_CIPHERTEXT,
	FAULT_INVALID_GRANT_ID,
	FAULT_INVALID_GRANT_TOKEN,
	FAULT_INVALID_INPUT,
	FAULT_INVALID_KEY_USAGE,
	FAULT_INVALID_MARKER,
	FAULT_INVALID_SIGNATURE,
	FAULT_INVALID_STATE,
	FAULT_KEY_UNAVAILABLE,
	FAULT_KMS_INTERNAL,
	FAULT_LIMIT_EXCEEDED,
	FAULT_LOOKUP_ATTRIBUTES,
	FAULT_MALFORMED_HTTP, /* AWS's common errors for what is no request; any 4xx or 5xx */
	FAULT_MALFORMED_POLICY,
	FAULT_MAX_RESULTS,
	FAULT_MISSING_TOKEN,
	FAULT_NEXT_TOKEN,
	FAULT_NO_SUCH_ENTITY,
	FAULT_NOT_AUTHORIZED,
	FAULT_NOT_FOUND,
	FAULT_PACKED_POLICY,
	FAULT_REQUEST_TIMEOUT,
	FAULT_SERIALIZATION,
	FAULT_SERVICE_UNAVAILABLE,
	FAULT_TAG,
	FAULT_THROTTLING,
	FAULT_TIME_RANGE,
	FAULT_TOO_LARGE, /* HTTP 413; KMS's front end answers so, outside of its API */
	FAULT_UNKNOWN_OPERATION,
	FAULT_UNRECOGNIZED_CLIENT,
	FAULT_UNSUPPORTED_OPERATION,
	FAULT_VALIDATION,
};

/*
 * Set @err to the exception, with a text for the client; @fmt NULL: AWS sends none.
 * Returns a negative errno, so that `return fault_set(...)` works.
 */
int fault_set(struct err *err, enum fault fault, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The exception's name, and the other way: false: there is none of that name. */
const char *fault_name(enum fault fault);
bool fault_find(const char *name, enum fault *ret_fault);

/* Whether @err holds an exception for the client, as opposed to trouble of ours. */
int fault_is(const struct err *err, enum fault fault);

/* HTTP status of @err; append the JSON body that tells it. -ENOMEM. */
unsigned fault_status(const struct err *err);
int fault_body(const struct err *err, struct buf *ret);

/*
 * As the Query protocol (IAM, STS) says it: its code, which differs from the exception's name, and
 * its status. The code is a static text.
 */
const char *fault_query_code(const struct err *err, unsigned *ret_status);

/* The text for the client, cut where a character ends. "": none. @ret has room for ERR_MSG_MAX. */
void fault_text(const struct err *err, char *ret);

#endif
