/* Finding and reading the shared AWS files. See aws_profile.h. */
#include "aws_profile.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws_ini.h"
#include "err.h"

#define FILES 2

struct aws_profile {
	char *name;
	char *paths[FILES];
	struct aws_ini *inis[FILES]; /* NULL: not read */
	int errors[FILES];	     /* why not, as errno */
};

const char *aws_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

bool aws_is_true(const char *value)
{
	return value && strcasecmp(value, "true") == 0;
}

void aws_profile_free(struct aws_profile *profile)
{
	if (!profile)
		return;
	for (int i = 0; i < FILES; i++) {
		free(profile->paths[i]);
		aws_ini_free(profile->inis[i]);
	}
	free(profile->name);
	free(profile);
}

void aws_profile_freep(struct aws_profile **profile)
{
	aws_profile_free(*profile);
	*profile = NULL;
}

/* The home directory followed by @rest. */
static char *below_home(const char *rest)
{
	const char *home = aws_env("HOME");
	struct passwd pw, *found = NULL;
	char room[4096], *path = NULL;

	if (!home && getpwuid_r(getuid(), &pw, room, sizeof(room), &found) == 0 && found)
		home = found->pw_dir;
	if (asprintf(&path, "%s%s", home ? home : "", rest) < 0)
		return NULL;
	return path;
}

static char *find_path(const char *variable, const char *usual)
{
	const char *given = aws_env(variable);

	if (!given)
		return below_home(usual);
	if (strncmp(given, "~/", 2) == 0)
		return below_home(given + 1);
	return strdup(given);
}

static int load_file(struct aws_profile *p, enum aws_file file, char *path, struct err *err)
{
	int r;

	if (!path)
		return err_set(err, ENOMEM, "out of memory");
	p->paths[file] = path;
	r = aws_ini_load(path, &p->inis[file], err);
	if (r == -ENOENT || r == -EACCES) {
		err_clear(err);
		p->errors[file] = -r;
		return 0;
	}
	return r;
}

static bool exists(const struct aws_profile *p)
{
	return aws_ini_has_section(p->inis[AWS_FILE_CREDENTIALS], NULL, p->name) ||
	       aws_ini_has_section(p->inis[AWS_FILE_CONFIG], "profile", p->name) ||
	       (strcmp(p->name, "default") == 0 &&
		aws_ini_has_section(p->inis[AWS_FILE_CONFIG], NULL, p->name));
}

int aws_profile_load(const char *name, struct aws_profile **ret_profile, struct err *err)
{
	struct aws_profile *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(err, ENOMEM, "out of memory");
	if (!name)
		name = aws_env("AWS_PROFILE");
	p->name = strdup(name ? name : "default");
	r = p->name ? 0 : err_set(err, ENOMEM, "out of memory");
	if (r == 0)
		r = load_file(p, AWS_FILE_CREDENTIALS,
			      find_path("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials"), err);
	if (r == 0)
		r = load_file(p, AWS_FILE_CONFIG, find_path("AWS_CONFIG_FILE", "/.aws/config"),
			      err);
	if (r == 0 && name && !exists(p))
		r = err_set(err, EINVAL, "AWS profile '%s' is neither in '%s' nor in '%s'", p->name,
			    p->paths[AWS_FILE_CREDENTIALS], p->paths[AWS_FILE_CONFIG]);
	if (r < 0) {
		aws_profile_free(p);
		return r;
	}
	*ret_profile = p;
	return 0;
}

const char *aws_profile_name(const struct aws_profile *profile)
{
	return profile->name;
}

const char *aws_profile_path(const struct aws_profile *profile, enum aws_file file)
{
	return profile->paths[file];
}

const char *aws_profile_unread(const struct aws_profile *profile, enum aws_file file)
{
	return profile->inis[file] ? NULL : strerror(profile->errors[file]);
}

static const char *unless_empty(const char *value)
{
	return value && *value ? value : NULL;
}

const char *aws_profile_get_from(const struct aws_profile *profile, enum aws_file file,
				 const char *key)
{
	const struct aws_ini *ini = profile->inis[file];
	const char *value = NULL;

	if (file == AWS_FILE_CONFIG)
		value = aws_ini_get(ini, "profile", profile->name, NULL, key);
	if (!value && (file == AWS_FILE_CREDENTIALS || strcmp(profile->name, "default") == 0))
		value = aws_ini_get(ini, NULL, profile->name, NULL, key);
	return unless_empty(value);
}

const char *aws_profile_get(const struct aws_profile *profile, const char *key)
{
	const char *value = aws_profile_get_from(profile, AWS_FILE_CREDENTIALS, key);

	return value ? value : aws_profile_get_from(profile, AWS_FILE_CONFIG, key);
}

const char *aws_profile_get_service(const struct aws_profile *profile, const char *service,
				    const char *key)
{
	const char *section = aws_profile_get(profile, "services");

	if (!section)
		return NULL;
	return unless_empty(
		aws_ini_get(profile->inis[AWS_FILE_CONFIG], "services", section, service, key));
}
