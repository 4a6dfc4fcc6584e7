/* Region, endpoint and the few other settings of a client. See place.h. */
#include "place.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws_profile.h"
#include "err.h"
#include "kms_http.h"

/* It becomes part of a host name and of the signature. */
static bool is_region(const char *text, size_t len)
{
	if (len == 0 || len > PLACE_REGION_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", text[i]))
			return false;
	return text[0] != '-' && text[len - 1] != '-';
}

int place_region(const char *given, const struct aws_profile *profile,
		 char ret_region[PLACE_REGION_MAX + 1], struct err *err)
{
	const char *region = given && *given ? given : aws_env("AWS_REGION");

	if (!region)
		region = aws_env("AWS_DEFAULT_REGION");
	if (!region)
		region = aws_profile_get(profile, "region");
	if (!region)
		return 0;
	if (!is_region(region, strlen(region)))
		return err_set(err, EINVAL,
			       "region '%s' is not the name of one, such as 'eu-central-1'",
			       region);
	strcpy(ret_region, region);
	return 1;
}

int place_region_of_arn(const char *arn, char ret_region[PLACE_REGION_MAX + 1])
{
	const char *service, *region, *end;

	if (!arn || strncmp(arn, "arn:", 4) != 0)
		return 0;
	service = strchr(arn + 4, ':'); /* behind the partition */
	if (!service || strncmp(service, ":kms:", 5) != 0)
		return 0;
	region = service + 5;
	end = strchr(region, ':');
	if (!end || !is_region(region, (size_t)(end - region)))
		return 0;
	memcpy(ret_region, region, (size_t)(end - region));
	ret_region[end - region] = '\0';
	return 1;
}

static const char *find_endpoint(const char *given, const struct aws_profile *profile,
				 const char **ret_where)
{
	const char *url;

	*ret_where = "the endpoint";
	if (given && *given)
		return given;
	if (aws_is_true(aws_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")) ||
	    aws_is_true(aws_profile_get(profile, "ignore_configured_endpoint_urls")))
		return NULL;
	*ret_where = "AWS_ENDPOINT_URL_KMS";
	if ((url = aws_env("AWS_ENDPOINT_URL_KMS")))
		return url;
	*ret_where = "AWS_ENDPOINT_URL";
	if ((url = aws_env("AWS_ENDPOINT_URL")))
		return url;
	*ret_where = "endpoint_url of the AWS profile";
	if ((url = aws_profile_get_service(profile, "kms", "endpoint_url")))
		return url;
	return aws_profile_get(profile, "endpoint_url");
}

int place_endpoint(const char *given, const struct aws_profile *profile,
		   char ret_url[PLACE_ENDPOINT_MAX + 1], struct err *err)
{
	const char *where, *url = find_endpoint(given, profile, &where);
	char host[256];
	bool tls;
	size_t len;
	int r;

	if (!url)
		return 0;
	len = strlen(url);
	if (len > PLACE_ENDPOINT_MAX)
		return err_set(err, EINVAL, "%s is longer than %d characters", where,
			       PLACE_ENDPOINT_MAX);
	r = kms_http_check_url(url, &tls, host, err);
	if (r == -EINVAL) /* the URL is not shown: it may have a password in it */
		return err_prefix(err, "%s is not a URL that can be used", where);
	if (r < 0)
		return r;
	while (len && url[len - 1] == '/')
		len--;
	memcpy(ret_url, url, len);
	ret_url[len] = '\0';
	return 1;
}

/* A setting that is on in the environment, or in the profile when the environment is silent. */
static bool is_set(const char *variable, const struct aws_profile *profile, const char *key)
{
	const char *value = aws_env(variable);

	return aws_is_true(value ? value : aws_profile_get(profile, key));
}

/* Partitions by the first letters of a region (botocore, partitions.json). */
static const struct {
	const char *prefix;
	const char *domain;
	const char *dual_stack_domain;
} partitions[] = {
	{"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
	{"us-iso-", "c2s.ic.gov", "api.aws.ic.gov"},
	{"us-isob-", "sc2s.sgov.gov", "api.aws.scloud"},
	{"eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"},
	{"us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"},
	{"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
	{"", "amazonaws.com", "api.aws"},
};

void place_aws_endpoint(const char *region, const struct aws_profile *profile,
			char ret_url[PLACE_ENDPOINT_MAX + 1])
{
	bool fips = is_set("AWS_USE_FIPS_ENDPOINT", profile, "use_fips_endpoint");
	bool dual = is_set("AWS_USE_DUALSTACK_ENDPOINT", profile, "use_dualstack_endpoint");
	size_t i = 0;

	while (strncmp(region, partitions[i].prefix, strlen(partitions[i].prefix)) != 0)
		i++; /* the last one fits all */
	(void)snprintf(ret_url, PLACE_ENDPOINT_MAX + 1, "https://kms%s.%s.%s", fips ? "-fips" : "",
		       region, dual ? partitions[i].dual_stack_domain : partitions[i].domain);
}

int place_tries(unsigned given, const struct aws_profile *profile, struct err *err)
{
	const char *text = aws_env("AWS_MAX_ATTEMPTS");
	char *end;
	long n;

	if (given)
		return given < PLACE_TRIES_MAX ? (int)given : PLACE_TRIES_MAX;
	if (!text)
		text = aws_profile_get(profile, "max_attempts");
	if (!text)
		return 3;
	n = strtol(text, &end, 10);
	if (*end || n < 1 || n > PLACE_TRIES_MAX)
		return err_set(err, EINVAL, "AWS_MAX_ATTEMPTS '%s' is not a number in 1..%d", text,
			       PLACE_TRIES_MAX);
	return (int)n;
}

const char *place_ca_file(const struct aws_profile *profile)
{
	const char *file = aws_env("AWS_CA_BUNDLE");

	return file ? file : aws_profile_get(profile, "ca_bundle");
}
