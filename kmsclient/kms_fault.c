/*
 * The table of exceptions, and the sentences made of them. Names and meanings: AWS KMS API
 * Reference, "Common Errors" and the errors of each operation; the throttling codes are those of
 * the SDKs' standard retry mode. See kms_fault.h.
 */
#include "kms_fault.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "kms.h"
#include "kms_http.h"
#include "kms_json.h"

#define SHOWN_MAX 700 /* bytes of AWS's text in a sentence */

enum kind {
	REFUSED,
	NO_KEY,
	THROTTLED, /* transient, to be tried again */
	BUSY,	   /* transient, to be tried again: the server's trouble */
	WRONG,
	CREDS,	   /* not known or not valid any more */
	SIGNATURE, /* does not fit: the secret key or the clock */
};

static const struct {
	const char *code;
	enum kind kind;
} exceptions[] = {
	{"DisabledException", REFUSED},
	{"KMSInvalidStateException", REFUSED},
	{"AccessDeniedException", REFUSED},
	{"AccessDenied", REFUSED},
	{"NotFoundException", NO_KEY},
	{"IncorrectKeyException", REFUSED},
	{"InvalidCiphertextException", REFUSED},
	{"InvalidGrantTokenException", REFUSED},
	{"InvalidKeyUsageException", REFUSED},
	{"OptInRequired", REFUSED},
	{"ThrottlingException", THROTTLED},
	{"Throttling", THROTTLED},
	{"ThrottledException", THROTTLED},
	{"RequestThrottled", THROTTLED},
	{"RequestThrottledException", THROTTLED},
	{"RequestLimitExceeded", THROTTLED},
	{"TooManyRequestsException", THROTTLED},
	{"ProvisionedThroughputExceededException", THROTTLED},
	{"TransactionInProgressException", THROTTLED},
	{"BandwidthLimitExceeded", THROTTLED},
	{"PriorRequestNotComplete", THROTTLED},
	{"EC2ThrottledException", THROTTLED},
	{"SlowDown", THROTTLED},
	{"RequestTimeout", BUSY},
	{"RequestTimeoutException", BUSY},
	{"DependencyTimeoutException", BUSY},
	{"KMSInternalException", BUSY},
	{"KeyUnavailableException", BUSY},
	{"ServiceUnavailable", BUSY},
	{"ServiceUnavailableException", BUSY},
	{"InternalFailure", BUSY},
	{"InternalServerError", BUSY},
	{"UnrecognizedClientException", CREDS},
	{"InvalidClientTokenId", CREDS},
	{"ExpiredTokenException", CREDS},
	{"ExpiredToken", CREDS},
	{"MissingAuthenticationTokenException", CREDS},
	{"InvalidSignatureException", SIGNATURE},
	{"SignatureDoesNotMatch", SIGNATURE},
	{"RequestExpired", SIGNATURE},
	{"RequestTimeTooSkewed", SIGNATURE},
	{"RequestInTheFuture", SIGNATURE},
	{"ValidationException", WRONG}, /* as is every other that comes with a status of 4xx */
};

static enum kind kind_of(const char *code, int status)
{
	for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++)
		if (strcmp(exceptions[i].code, code) == 0)
			return exceptions[i].kind;
	if (status == 429)
		return THROTTLED;
	return status >= 500 ? BUSY : WRONG;
}

/* "prefix#NameException:http://..." to "NameException"; false when it is no name. */
static bool take_code(const char *text, char ret_code[ERR_CODE_MAX])
{
	const char *hash = strrchr(text, '#');
	size_t len;

	if (hash)
		text = hash + 1;
	len = strcspn(text, ":");
	if (len == 0 || len >= ERR_CODE_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
			return false;
	memcpy(ret_code, text, len);
	ret_code[len] = '\0';
	return true;
}

struct said {
	char code[ERR_CODE_MAX];
	char message[ERR_MSG_MAX]; /* cut to its room */
};

/* What the body and the headers say. False: no exception has a name there. */
static bool listen(const struct kms_http_answer *answer, struct said *ret)
{
	const char *text = answer->body.bytes ? (const char *)answer->body.bytes : "";
	struct kms_json *obj = NULL;
	const struct kms_json *m;
	bool found = false;

	if (kms_json_parse(text, answer->body.len, &obj, NULL) == 0) {
		found = take_code(kms_json_string_value(kms_json_get(obj, "__type")), ret->code) ||
			take_code(kms_json_string_value(kms_json_get(obj, "code")), ret->code);
		m = kms_json_get(obj, "message");
		if (!m)
			m = kms_json_get(obj, "Message");
		(void)snprintf(ret->message, sizeof(ret->message), "%s", kms_json_string_value(m));
		kms_json_free(obj);
	}
	return found || take_code(answer->error_type, ret->code);
}

/* For people: no control characters, not endless. @ret has room for @max + 4. */
static void shorten(const char *text, char *ret, size_t max)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len && i < max; i++)
		ret[i] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
	strcpy(ret + (len < max ? len : max), len > max ? "..." : "");
}

/* "Decrypt with key X" */
static const char *what(const struct kms_fault_call *call, char *room, size_t size)
{
	(void)snprintf(room, size, "%s%s%.500s", call->operation, call->key_id ? " with key " : "",
		       call->key_id ? call->key_id : "");
	return room;
}

/* Something to add, where AWS's text says too little. */
static void hint(const struct kms_fault_call *call, const struct kms_http_answer *answer,
		 const struct said *said, enum kind kind, char *ret, size_t size)
{
	int64_t behind = answer->date >= 0 ? answer->date - call->now : 0;
	bool clock = (kind == SIGNATURE && strstr(said->message, "xpired")) ||
		     strstr(said->message, "not yet current") || strstr(said->code, "Request") ||
		     behind > 240 || behind < -240;

	*ret = '\0';
	if (strcmp(said->code, "InvalidCiphertextException") == 0 && !said->message[0])
		(void)snprintf(ret, size,
			       ": the ciphertext is damaged, or was made with another encryption "
			       "context");
	if (kind != SIGNATURE)
		return;
	if (!clock)
		(void)snprintf(ret, size, "; is the secret access key the right one?");
	else if (answer->date < 0)
		(void)snprintf(ret, size, "; the clock of this machine may be wrong");
	else
		(void)snprintf(ret, size,
			       "; the clock of this machine is %lld s %s that of KMS: set it",
			       (long long)(behind < 0 ? -behind : behind),
			       behind < 0 ? "ahead of" : "behind");
}

static const struct {
	int num;
	const char *verb; /* of a sentence "KMS <verb> Decrypt with key X: ..." */
} meanings[] = {
	[REFUSED] = {EKEYREJECTED, "refused"},
	[NO_KEY] = {ENOKEY, "refused"},
	[THROTTLED] = {ETIMEDOUT, "throttled"},
	[BUSY] = {ETIMEDOUT, "failed to do"},
	[WRONG] = {EINVAL, "did not accept"},
	[CREDS] = {EACCES, "did not accept the credentials of"},
	[SIGNATURE] = {EINVAL, "did not accept the signature of"},
};

static bool retry_status(int status)
{
	return status == 500 || status == 502 || status == 503 || status == 504 || status == 429;
}

static int not_kms(const struct kms_fault_call *call, const struct kms_http_answer *answer,
		   struct kms_fault_cure *ret_cure, struct err *err)
{
	char room[640], type[132];
	int r;

	shorten(answer->content_type, type, sizeof(type) - 4);
	r = err_set(
		err, ETIMEDOUT,
		"%s answered %s with HTTP status %d and no KMS exception%s%s%s: is it KMS, or a "
		"proxy?",
		call->endpoint, what(call, room, sizeof(room)), answer->status, type[0] ? " (" : "",
		type, type[0] ? ")" : "");
	*ret_cure = (struct kms_fault_cure){.retry = retry_status(answer->status)};
	if (err) {
		err->http_status = answer->status;
		(void)snprintf(err->request_id, sizeof(err->request_id), "%s", answer->request_id);
	}
	return r;
}

int kms_fault_answer(const struct kms_fault_call *call, const struct kms_http_answer *answer,
		     struct kms_fault_cure *ret_cure, struct err *err)
{
	struct said said = {0};
	char room[640], shown[SHOWN_MAX + 4], more[160];
	enum kind kind;

	if (!listen(answer, &said))
		return not_kms(call, answer, ret_cure, err);
	kind = kind_of(said.code, answer->status);
	*ret_cure = (struct kms_fault_cure){
		.retry = kind == THROTTLED || kind == BUSY || retry_status(answer->status),
		.renew_creds = kind == CREDS,
		.wrong_secret = kind == SIGNATURE,
	};
	shorten(said.message, shown, SHOWN_MAX);
	if (kind == SIGNATURE && strcspn(said.message, "\n") < strlen(shown))
		shown[strcspn(said.message, "\n")] =
			'\0'; /* what should have been signed follows */
	hint(call, answer, &said, kind, more, sizeof(more));
	(void)err_set(err, meanings[kind].num, "KMS %s %s: %s%s%s%s", meanings[kind].verb,
		      what(call, room, sizeof(room)), said.code, shown[0] ? ": " : "", shown, more);
	if (err) {
		err->http_status = answer->status;
		(void)snprintf(err->code, sizeof(err->code), "%s", said.code);
		(void)snprintf(err->request_id, sizeof(err->request_id), "%s", answer->request_id);
		memcpy(err->aws_message, said.message, sizeof(err->aws_message));
	}
	return -meanings[kind].num;
}

int kms_fault_no_answer(const struct kms_fault_call *call, int r, struct kms_fault_cure *ret_cure,
			struct err *err)
{
	char room[640], why[400];

	*ret_cure = (struct kms_fault_cure){0};
	if (r == -ENOMEM)
		return r;
	if (r == -EINVAL)
		return err_prefix(err, "KMS at %s: %s", call->endpoint,
				  what(call, room, sizeof(room)));
	(void)snprintf(why, sizeof(why), "%.390s", err ? err->msg : "");
	if (r == -ECANCELED)
		return err_set(err, ETIMEDOUT, "KMS at %s: %s was canceled", call->endpoint,
			       what(call, room, sizeof(room)));
	ret_cure->retry = true;
	ret_cure->was_timeout = r == -ETIMEDOUT;
	if (r == -EMSGSIZE)
		return err_set(err, ETIMEDOUT, "KMS at %s: %s: %s", call->endpoint,
			       what(call, room, sizeof(room)), why);
	return err_set(err, ETIMEDOUT, "KMS at %s cannot be reached: %s: %s", call->endpoint,
		       what(call, room, sizeof(room)), why);
}

int kms_fault_nonsense(const struct kms_fault_call *call, const struct kms_http_answer *answer,
		       struct kms_fault_cure *ret_cure, struct err *err)
{
	char room[640], why[400];

	(void)snprintf(why, sizeof(why), "%.390s", err ? err->msg : "");
	*ret_cure = (struct kms_fault_cure){.retry = true};
	(void)err_set(err, ETIMEDOUT, "KMS at %s answered %s with what makes no sense: %s",
		      call->endpoint, what(call, room, sizeof(room)), why);
	if (err) {
		err->http_status = answer->status;
		(void)snprintf(err->request_id, sizeof(err->request_id), "%s", answer->request_id);
	}
	return -ETIMEDOUT;
}

enum kms_fault kms_fault(const struct err *err)
{
	switch (err->num) {
	case 0:
		return KMS_FAULT_NONE;
	case EKEYREJECTED:
	case ENOKEY:
		return KMS_FAULT_REFUSED;
	case EACCES:
	case EINVAL:
		return KMS_FAULT_WRONG_CALL;
	default:
		return KMS_FAULT_TRANSIENT;
	}
}
