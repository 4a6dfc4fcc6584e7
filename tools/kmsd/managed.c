/* AWS managed keys. See managed.h. */
#include "managed.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "err.h"
#include "secret.h"

#define DAY_MS	   (24 * 60 * 60 * INT64_C(1000))
#define POLICY_MAX 2048

/* In order of alias. */
static const struct managed {
	const char *alias, *service, *description;
	const char *title; /* in the policy: what the service does is called so */
	const char *id;	   /* of the policy */
	const char *more;  /* that its service may do beside what all may */
} keys[] = {
	{"alias/aws/ebs", "ec2",
	 "Default key that protects my EBS volumes when no other key is defined", "EBS",
	 "auto-ebs-2", ""},
	{"alias/aws/rds", "rds",
	 "Default key that protects my RDS database volumes when no other key is defined", "RDS",
	 "auto-rds-2", ", \"kms:ListGrants\""},
};

#define COUNT (sizeof(keys) / sizeof(keys[0]))

/* As GetKeyPolicy shows them in AWS. */
static const char policy_format[] =
	"{\n  \"Version\" : \"2012-10-17\",\n  \"Id\" : \"%s\",\n  \"Statement\" : [ {\n"
	"    \"Sid\" : \"Allow access through %s for all principals in the account that are "
	"authorized to use %s\",\n    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n"
	"      \"AWS\" : \"*\"\n    },\n    \"Action\" : [ \"kms:Encrypt\", \"kms:Decrypt\", "
	"\"kms:ReEncrypt*\", \"kms:GenerateDataKey*\", \"kms:CreateGrant\"%s, \"kms:DescribeKey\" "
	"],\n    \"Resource\" : \"*\",\n    \"Condition\" : {\n      \"StringEquals\" : {\n"
	"        \"kms:CallerAccount\" : \"%s\",\n        \"kms:ViaService\" : "
	"\"%s.%s.amazonaws.com\"\n      }\n    }\n  }, {\n    \"Sid\" : \"Allow direct access to "
	"key metadata to the account\",\n    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n"
	"      \"AWS\" : \"arn:aws:iam::%s:root\"\n    },\n    \"Action\" : [ \"kms:Describe*\", "
	"\"kms:Get*\", \"kms:List*\", \"kms:RevokeGrant\" ],\n    \"Resource\" : \"*\"\n  } ]\n}";

const char *managed_alias(size_t i)
{
	return i < COUNT ? keys[i].alias : NULL;
}

static const struct managed *find(const char *alias)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(keys[i].alias, alias) == 0)
			return &keys[i];
	return NULL;
}

int managed_is(const struct call *call, const struct key *key, struct err *err)
{
	const struct keyref_place place = {key->account, key->region};
	char id[IDS_UUID_LEN + 1];

	for (size_t i = 0; i < COUNT; i++) {
		int r = store_find_alias(call->kmsd->store, &place, keys[i].alias, id, err);

		if (r == 0 && strcmp(id, key->id) == 0)
			return 1;
		if (r < 0 && r != -ENOKEY)
			return r;
	}
	return 0;
}

/* They rotate once a year, which nobody can change. */
static int make(const struct call *call, const struct managed *m, struct err *err)
{
	const struct keyref_place *place = &call->place;
	AUTO(cached_putp) struct key *key = NULL;
	char policy[POLICY_MAX];
	const struct store_new_key wanted = {
		.place = *place,
		.description = m->description,
		.policy = policy,
		.alias = m->alias,
		.rotation = {365, call->now_ms + 365 * DAY_MS, 0},
		.now_ms = call->now_ms,
	};
	int r = snprintf(policy, sizeof(policy), policy_format, m->id, m->title, m->title, m->more,
			 place->account, m->service, place->region, place->account);

	if (r < 0 || (size_t)r >= sizeof(policy))
		return err_set(err, EINVAL, "policy of '%s' is too long", m->alias);
	r = store_create_key(call->kmsd->store, &wanted, &key, err);
	return r == -EEXIST ? 0 : r; /* another call was faster */
}

int managed_make(const struct call *call, const char *alias, struct err *err)
{
	const struct managed *m = find(alias);
	const struct forward_service *service = call->forward.service;
	int r;

	if (!m || (strcmp(call->op->name, "DescribeKey") != 0 &&
		   (!service || call->forward.own || strcmp(service->name, m->service) != 0)))
		return 0;
	r = make(call, m, err);
	return r < 0 ? r : 1;
}
