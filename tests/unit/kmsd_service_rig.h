/*
 * Calls by services of AWS in the rig: for a caller, with a proof, and in their own name, with the service
 * credential. Functions that a test does not use are dropped.
 */
#ifndef KMSD_SERVICE_RIG_H
#define KMSD_SERVICE_RIG_H

#include "kmsd_rig.h"

#include "forward.h"
#include "service_proof.h"

#define EC2	 "ec2.us-east-1.amazonaws.com"
#define INSTANCE "i-07b7aaaaaaaaaaaaa"
#define IDENTITY "arn:aws:sts::111122223333:assumed-role/aws:ec2-infrastructure/" INSTANCE
#define VOLUME	 "{\"aws:ebs:id\":\"vol-0ab5\"}"
#define UNKNOWN                                                                                    \
	"UnrecognizedClientException: The security token included in the request is invalid."

static char last_text[8192]; /* "TYPE: TEXT" of the last refusal */

RIG_FN void read_service_key(struct rig *f, struct access_key *ret)
{
	struct err err = {0};

	*ret = (struct access_key){0};
	strcpy(ret->id, SERVICE_ACCESS_KEY);
	assert_int_equal(forward_secret(store_rootkey(f->kmsd.store), &ret->secret, &err), 0);
}

RIG_FN void make_proof(struct rig *f, const struct access_key *who, const char *service,
		       const char *operation, const char *body, char ret[96])
{
	char date[32], day[9] = "", target[128], secret[64] = "", hex[SIGV4_HEX_LEN + 1];
	const struct sigv4_scope scope = {day, "us-east-1", SERVICE_PROOF_SCOPE};
	const struct service_proof proof = {date, who->id, service, target, body, strlen(body)};
	uint8_t key[SIGV4_KEY_LEN];
	struct access_key own;
	struct err err = {0};

	rig_date(f, date);
	memcpy(day, date, 8);
	sprintf(target, "TrentService.%s", operation);
	read_service_key(f, &own);
	memcpy(secret, secret_cbytes(own.secret), secret_len(own.secret));
	secret_free(own.secret);
	assert_int_equal(sigv4_signing_key(secret, &scope, key, &err), 0);
	assert_int_equal(service_proof(&proof, key, hex, &err), 0);
	snprintf(ret, 96, "%.16s %s", date, hex);
}

/* Keeps the refusal in last_text. The caller frees a reply. NULL: refused, or it has no body. */
RIG_FN struct kms_json *judge(unsigned status, struct kms_json *v)
{
	const struct kms_json *text;

	strcpy(last_text, "");
	if (status == 200)
		return v;
	text = kms_json_get(v, "message") ? kms_json_get(v, "message") : kms_json_get(v, "Message");
	snprintf(last_text, sizeof(last_text), "%s%s%s",
		 kms_json_string_value(kms_json_get(v, "__type")), text ? ": " : "",
		 text ? kms_json_string_value(text) : "");
	kms_json_free(v);
	return NULL;
}

RIG_FN struct kms_json *plainly(struct rig *f, const struct access_key *who, const char *operation,
				const char *body, const struct rig_more *more)
{
	struct kms_json *v;
	unsigned status = rig_send_more(f, who, operation, body, more, &v);

	return judge(status, v);
}

/* A service calls for @who. */
RIG_FN struct kms_json *forwarded(struct rig *f, const struct access_key *who, const char *service,
				  const char *operation, const char *fmt, ...)
{
	char body[8192], proof[96];
	struct rig_more more = {.list = {{SERVICE_PROOF_HEADER, proof}, {SERVICE_HEADER, service}},
				.count = 2};
	struct kms_json *v;
	unsigned status;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	make_proof(f, who, service, operation, body, proof);
	status = rig_send_more(f, who, operation, body, &more, &v);
	return judge(status, v);
}

/* A service calls in its own name; by the identity of @instance if that is not NULL. */
RIG_FN struct kms_json *own(struct rig *f, const char *service, const char *instance,
			    const char *operation, const char *fmt, ...)
{
	struct rig_more more = {.list = {{SERVICE_ACCOUNT_HEADER, "111122223333"}}, .count = 1};
	struct access_key key;
	struct kms_json *v;
	char body[8192];
	unsigned status;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(body, sizeof(body), fmt, ap);
	va_end(ap);
	if (instance)
		more.list[more.count++] = (struct sigv4_header){SERVICE_INSTANCE_HEADER, instance};
	more.list[more.count++] = (struct sigv4_header){SERVICE_HEADER, service};
	read_service_key(f, &key);
	status = rig_send_more(f, &key, operation, body, &more, &v);
	secret_free(key.secret);
	return judge(status, v);
}

RIG_FN void create_grant_body(char *ret, const char *arn, const char *grantee, const char *retiring)
{
	sprintf(ret,
		"{\"GranteePrincipal\":\"%s\",\"RetiringPrincipal\":\"%s\",\"Operations\":["
		"\"Decrypt\"],\"Constraints\":{\"EncryptionContextSubset\":" VOLUME
		"},\"KeyId\":\"%s\"}",
		grantee, retiring, arn);
}

RIG_FN void attach(struct rig *f, const char *arn, char ret_grant[GRANT_ID_LEN + 1])
{
	char body[1024];
	struct kms_json *v;

	create_grant_body(body, arn, IDENTITY, EC2);
	v = forwarded(f, f->root, "ec2", "CreateGrant", "%s", body);
	if (!v)
		fail_msg("%s", last_text);
	strcpy(ret_grant, rig_text(v, "GrantId"));
	kms_json_free(v);
}

/* The key's policy is the statements. */
RIG_FN void put_policy(struct rig *f, const char *arn, const char *statements)
{
	char text[4096], quoted[8192], *out = quoted;

	snprintf(text, sizeof(text), "{\"Version\":\"2012-10-17\",\"Statement\":[%s]}", statements);
	for (const char *p = text; *p; p++) {
		if (*p == '"')
			*out++ = '\\';
		*out++ = *p;
	}
	*out = '\0';
	rig_do(f, "PutKeyPolicy", "{\"KeyId\":\"%s\",\"PolicyName\":\"default\",\"Policy\":\"%s\"}",
	       arn, quoted);
}

#define ALL                                                                                        \
	"{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"" RIG_ROOT                                 \
	"\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}"
#define DENY(action, condition)                                                                    \
	ALL ",{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"" action                       \
	    "\",\"Resource\":\"*\",\"Condition\":{" condition "}}"

#endif
