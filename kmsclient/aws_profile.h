/*
 * One profile of the shared AWS files: what ~/.aws/credentials and ~/.aws/config say of it.
 */
#ifndef KMSCLIENT_AWS_PROFILE_H
#define KMSCLIENT_AWS_PROFILE_H

#include <stdbool.h>

struct aws_profile;
struct err;

enum aws_file {
	AWS_FILE_CREDENTIALS, /* AWS_SHARED_CREDENTIALS_FILE, ~/.aws/credentials */
	AWS_FILE_CONFIG,      /* AWS_CONFIG_FILE, ~/.aws/config */
};

/*
 * Load the profile @name (NULL: AWS_PROFILE, else "default"). Files that are absent or not ours to
 * read count as empty. -EINVAL: a file makes no sense, or a profile that was asked for by name is
 * in neither; -ENOMEM.
 */
int aws_profile_load(const char *name, struct aws_profile **ret_profile, struct err *err);
void aws_profile_free(struct aws_profile *profile);
void aws_profile_freep(struct aws_profile **profile);

/* Its name, and the paths of the files; the profile's. */
const char *aws_profile_name(const struct aws_profile *profile);
const char *aws_profile_path(const struct aws_profile *profile, enum aws_file file);

/* What became of a file: NULL it was read, else why not ("No such file or directory"). */
const char *aws_profile_unread(const struct aws_profile *profile, enum aws_file file);

/*
 * A key of the profile from one file, or from both (the credentials file goes first); the
 * profile's, NULL when absent or empty.
 */
const char *aws_profile_get_from(const struct aws_profile *profile, enum aws_file file,
				 const char *key);
const char *aws_profile_get(const struct aws_profile *profile, const char *key);

/* A key below "@service =" in the [services X] section that the profile names; NULL when absent. */
const char *aws_profile_get_service(const struct aws_profile *profile, const char *service,
				    const char *key);

/* getenv(), with an empty value as none, as the SDKs have it. */
const char *aws_env(const char *name);

/* An environment variable or key that is true or not; absent: false. */
bool aws_is_true(const char *value);

#endif
