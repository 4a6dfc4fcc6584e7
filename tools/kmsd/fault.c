/* KMS's exceptions as one table. See fault.h. */
#include "fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"

static const struct {
	const char *name;
	unsigned status;
	bool capital; /* the text's member is "Message" */
} faults[] = {
	[FAULT_ACCESS_DENIED] = {"AccessDeniedException", 400, true},
	[FAULT_ALREADY_EXISTS] = {"AlreadyExistsException", 400, false},
	[FAULT_DELETE_CONFLICT] = {"DeleteConflictException", 400, false},
	[FAULT_DEPENDENCY_TIMEOUT] = {"DependencyTimeoutException", 503, false},
	[FAULT_DISABLED] = {"DisabledException", 400, false},
	[FAULT_DRY_RUN] = {"DryRunOperationException", 400, false},
	[FAULT_ENTITY_EXISTS] = {"EntityAlreadyExistsException", 400, false},
	[FAULT_EVENT_CATEGORY] = {"InvalidEventCategoryException", 400, false},
	[FAULT_EXPIRED_TOKEN] = {"ExpiredTokenException", 400, false},
	[FAULT_INCOMPLETE_SIGNATURE] = {"IncompleteSignatureException", 400, false},
	[FAULT_INCORRECT_KEY] = {"IncorrectKeyException", 400, false},
	[FAULT_INTERNAL_FAILURE] = {"InternalFailure", 500, false},
	[FAULT_INVALID_ALIAS_NAME] = {"InvalidAliasNameException", 400, false},
	[FAULT_INVALID_ARN] = {"InvalidArnException", 400, false},
	[FAULT_INVALID_CIPHERTEXT] = {"InvalidCiphertextException", 400, false},
	[FAULT_INVALID_GRANT_ID] = {"InvalidGrantIdException", 400, false},
	[FAULT_INVALID_GRANT_TOKEN] = {"InvalidGrantTokenException", 400, false},
	[FAULT_INVALID_INPUT] = {"InvalidInputException", 400, false},
	[FAULT_INVALID_KEY_USAGE] = {"InvalidKeyUsageException", 400, false},
	[FAULT_INVALID_MARKER] = {"InvalidMarkerException", 400, false},
	[FAULT_INVALID_SIGNATURE] = {"InvalidSignatureException", 400, false},
	[FAULT_INVALID_STATE] = {"KMSInvalidStateException", 400, false},
	[FAULT_KEY_UNAVAILABLE] = {"KeyUnavailableException", 500, false},
	[FAULT_KMS_INTERNAL] = {"KMSInternalException", 500, false},
	[FAULT_LIMIT_EXCEEDED] = {"LimitExceededException", 400, false},
	[FAULT_LOOKUP_ATTRIBUTES] = {"InvalidLookupAttributesException", 400, false},
	[FAULT_MALFORMED_HTTP] = {"MalformedHttpRequestException", 400, false},
	[FAULT_MALFORMED_POLICY] = {"MalformedPolicyDocumentException", 400, false},
	[FAULT_MAX_RESULTS] = {"InvalidMaxResultsException", 400, false},
	[FAULT_MISSING_TOKEN] = {"MissingAuthenticationTokenException", 400, false},
	[FAULT_NEXT_TOKEN] = {"InvalidNextTokenException", 400, false},
	[FAULT_NO_SUCH_ENTITY] = {"NoSuchEntityException", 400, false},
	[FAULT_NOT_AUTHORIZED] = {"NotAuthorizedException", 400, false},
	[FAULT_NOT_FOUND] = {"NotFoundException", 400, false},
	[FAULT_PACKED_POLICY] = {"PackedPolicyTooLargeException", 400, false},
	[FAULT_REQUEST_TIMEOUT] = {"RequestTimeoutException", 408, false},
	[FAULT_SERIALIZATION] = {"SerializationException", 400, false},
	[FAULT_SERVICE_UNAVAILABLE] = {"ServiceUnavailable", 503, false},
	[FAULT_TAG] = {"TagException", 400, false},
	[FAULT_THROTTLING] = {"ThrottlingException", 400, false},
	[FAULT_TIME_RANGE] = {"InvalidTimeRangeException", 400, false},
	[FAULT_TOO_LARGE] = {"RequestEntityTooLargeException", 413, false},
	[FAULT_UNKNOWN_OPERATION] = {"UnknownOperationException", 400, false},
	[FAULT_UNRECOGNIZED_CLIENT] = {"UnrecognizedClientException", 400, false},
	[FAULT_UNSUPPORTED_OPERATION] = {"UnsupportedOperationException", 400, true},
	[FAULT_VALIDATION] = {"ValidationException", 400, false},
};

int fault_set(struct err *err, enum fault fault, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return -EKEYREJECTED;
	err_clear(err);
	err->num = EKEYREJECTED;
	err->http_status = (int)faults[fault].status;
	(void)snprintf(err->code, sizeof(err->code), "%s", faults[fault].name); /* fits */
	if (fmt) {
		va_start(ap, fmt);
		(void)vsnprintf(err->aws_message, sizeof(err->aws_message), fmt, ap); /* cut */
		va_end(ap);
	}
	(void)snprintf(err->msg, sizeof(err->msg), "%s", err->code); /* fits */
	return -EKEYREJECTED;
}

const char *fault_name(enum fault fault)
{
	return faults[fault].name;
}

bool fault_find(const char *name, enum fault *ret_fault)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(faults[i].name, name) == 0) {
			*ret_fault = (enum fault)i;
			return true;
		}
	return false;
}

int fault_is(const struct err *err, enum fault fault)
{
	return strcmp(err->code, faults[fault].name) == 0;
}

unsigned fault_status(const struct err *err)
{
	return err->code[0] ? (unsigned)err->http_status : faults[FAULT_KMS_INTERNAL].status;
}

static bool capital(const char *code)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (strcmp(code, faults[i].name) == 0)
			return faults[i].capital;
	return false;
}

/* A text that was cut may end inside a UTF-8 sequence, which no JSON reader takes. */
static void end_at_character(char *text)
{
	size_t n = strlen(text), i = n;

	while (i > 0 && ((unsigned char)text[i - 1] & 0xc0) == 0x80)
		i--;
	if (i > 0 && (unsigned char)text[i - 1] >= 0xc0) {
		unsigned char lead = (unsigned char)text[i - 1];
		size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;

		if (n - (i - 1) < want)
			text[i - 1] = '\0';
	}
}

void fault_text(const struct err *err, char *ret)
{
	memcpy(ret, err->aws_message, sizeof(err->aws_message));
	end_at_character(ret);
}

/* Sorted by nothing: it is read for refusals only. */
static const struct {
	enum fault fault;
	const char *code;
	unsigned status;
} query_codes[] = {
	{FAULT_ACCESS_DENIED, "AccessDenied", 403},
	{FAULT_DELETE_CONFLICT, "DeleteConflict", 409},
	{FAULT_ENTITY_EXISTS, "EntityAlreadyExists", 409},
	{FAULT_EXPIRED_TOKEN, "ExpiredToken", 403},
	{FAULT_INCOMPLETE_SIGNATURE, "IncompleteSignature", 403},
	{FAULT_INVALID_INPUT, "InvalidInput", 400},
	{FAULT_INVALID_SIGNATURE, "SignatureDoesNotMatch", 403},
	{FAULT_LIMIT_EXCEEDED, "LimitExceeded", 409},
	{FAULT_MALFORMED_POLICY, "MalformedPolicyDocument", 400},
	{FAULT_MISSING_TOKEN, "MissingAuthenticationToken", 403},
	{FAULT_NO_SUCH_ENTITY, "NoSuchEntity", 404},
	{FAULT_PACKED_POLICY, "PackedPolicyTooLarge", 400},
	{FAULT_SERIALIZATION, "MalformedInput", 400},
	{FAULT_SERVICE_UNAVAILABLE, "ServiceUnavailable", 503},
	{FAULT_THROTTLING, "Throttling", 400},
	{FAULT_TOO_LARGE, "RequestEntityTooLarge", 413},
	{FAULT_UNKNOWN_OPERATION, "InvalidAction", 400},
	{FAULT_UNRECOGNIZED_CLIENT, "InvalidClientTokenId", 403},
	{FAULT_UNSUPPORTED_OPERATION, "UnsupportedOperation", 400},
	{FAULT_VALIDATION, "ValidationError", 400},
};

const char *fault_query_code(const struct err *err, unsigned *ret_status)
{
	for (size_t i = 0; i < sizeof(query_codes) / sizeof(query_codes[0]); i++) {
		if (!fault_is(err, query_codes[i].fault))
			continue;
		*ret_status = query_codes[i].status;
		return query_codes[i].code;
	}
	*ret_status = 500;
	return "InternalFailure";
}

int fault_body(const struct err *err, struct buf *ret)
{
	const char *code = err->code[0] ? err->code : faults[FAULT_KMS_INTERNAL].name;
	struct kms_json *body = kms_json_new_object();
	char message[ERR_MSG_MAX];
	char *text;
	int r;

	if (!body)
		return -ENOMEM;
	r = kms_json_set_str(body, "__type", code);
	fault_text(err, message);
	if (r == 0 && message[0])
		r = kms_json_set_str(body, capital(code) ? "Message" : "message", message);
	text = r == 0 ? kms_json_text(body) : NULL;
	kms_json_free(body);
	if (!text)
		return -ENOMEM;
	r = buf_append(ret, text, strlen(text));
	free(text);
	return r;
}
