/*
 * Where KMS is: region, endpoint, certificates and number of tries, from what the caller says, the
 * environment and the profile, in the order of the AWS SDKs. Pure but for the environment.
 */
#ifndef KMSCLIENT_PLACE_H
#define KMSCLIENT_PLACE_H

struct aws_profile;
struct err;

#define PLACE_REGION_MAX   63
#define PLACE_ENDPOINT_MAX 1024
#define PLACE_TRIES_MAX	   100

/* @given, AWS_REGION, AWS_DEFAULT_REGION, the profile. 1 found, 0 not, -EINVAL is no region name. */
int place_region(const char *given, const struct aws_profile *profile,
		 char ret_region[PLACE_REGION_MAX + 1], struct err *err);

/* The region in a key or alias ARN. 1 found, 0: @arn is no ARN of a region. */
int place_region_of_arn(const char *arn, char ret_region[PLACE_REGION_MAX + 1]);

/*
 * An endpoint that was set: @given, AWS_ENDPOINT_URL_KMS, AWS_ENDPOINT_URL, the profile's services
 * section, its endpoint_url; without a slash at the end. 1 found, 0 not, -EINVAL is no such URL.
 */
int place_endpoint(const char *given, const struct aws_profile *profile,
		   char ret_url[PLACE_ENDPOINT_MAX + 1], struct err *err);

/* AWS's own endpoint of a region, by its partition; FIPS and dual stack as set. */
void place_aws_endpoint(const char *region, const struct aws_profile *profile,
			char ret_url[PLACE_ENDPOINT_MAX + 1]);

/* @given, AWS_MAX_ATTEMPTS, the profile's max_attempts, 3. 1 to PLACE_TRIES_MAX, or -EINVAL. */
int place_tries(unsigned given, const struct aws_profile *profile, struct err *err);

/* AWS_CA_BUNDLE, the profile's ca_bundle; the environment's or profile's, NULL: none. */
const char *place_ca_file(const struct aws_profile *profile);

#endif
