/* What an audit record says, as LookupEvents shows it. See events.h. */
#include <string.h>

#include "events.h"
#include "kms_json.h"

static const char *const attribute_names[EVENTS_ATTRIBUTE_COUNT] = {
	[EVENTS_ANY] = "",
	[EVENTS_EVENT_ID] = "EventId",
	[EVENTS_EVENT_NAME] = "EventName",
	[EVENTS_READ_ONLY] = "ReadOnly",
	[EVENTS_USERNAME] = "Username",
	[EVENTS_RESOURCE_TYPE] = "ResourceType",
	[EVENTS_RESOURCE_NAME] = "ResourceName",
	[EVENTS_EVENT_SOURCE] = "EventSource",
	[EVENTS_ACCESS_KEY_ID] = "AccessKeyId",
};

enum events_attribute events_attribute(const char *name)
{
	unsigned i = EVENTS_EVENT_ID;

	while (i < EVENTS_ATTRIBUTE_COUNT && strcmp(attribute_names[i], name) != 0)
		i++;
	return i;
}

const char *events_text(const struct kms_json *record, const char *outer, const char *inner)
{
	const struct kms_json *v = kms_json_get(record, outer);

	if (v && inner)
		v = kms_json_type(v) == KMS_JSON_OBJECT ? kms_json_get(v, inner) : NULL;
	return v && kms_json_type(v) == KMS_JSON_STRING ? kms_json_string_value(v) : NULL;
}

const char *events_username(const struct kms_json *record)
{
	const char *type = events_text(record, "userIdentity", "type");
	const char *arn = events_text(record, "userIdentity", "arn");
	const char *slash = arn ? strrchr(arn, '/') : NULL;

	if (type && strcmp(type, "Root") == 0)
		return "root";
	if (type && strcmp(type, "AssumedRole") == 0)
		return slash ? slash + 1 : NULL;
	return events_text(record, "userIdentity", "userName");
}

int events_each_resource(const struct kms_json *record,
			 int (*fn)(const char *type, const char *name, void *arg), void *arg)
{
	static const struct {
		const char *member, *type;
	} iam[] = {{"userName", "AWS::IAM::User"},
		   {"roleName", "AWS::IAM::Role"},
		   {"policyArn", "AWS::IAM::Policy"},
		   {"policyName", "AWS::IAM::Policy"},
		   {"accessKeyId", "AWS::IAM::AccessKey"}};
	const struct kms_json *list = kms_json_get(record, "resources");
	const char *source = events_text(record, "eventSource", NULL);
	int r = 0;

	for (size_t i = 0; list && i < kms_json_count(list) && r == 0; i++) {
		const struct kms_json *e = kms_json_at(list, i);
		const char *type = events_text(e, "type", NULL), *arn = events_text(e, "ARN", NULL);

		if (type && arn)
			r = fn(type, arn, arg);
	}
	if (!source || strcmp(source, "iam.amazonaws.com") != 0)
		return r;
	for (size_t i = 0; i < sizeof(iam) / sizeof(iam[0]) && r == 0; i++) {
		const char *name = events_text(record, "requestParameters", iam[i].member);

		if (name)
			r = fn(iam[i].type, name, arg);
	}
	return r;
}
