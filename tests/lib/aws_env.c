/* Setting up the environment of the AWS SDKs. See aws_env.h. */
#include "aws_env.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void aws_env_remove(void)
{
	if (home[0])
		(void)nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	home[0] = '\0';
}

static void unset_prefix(const char *prefix)
{
	size_t n = strlen(prefix);
	char name[128];

	for (char **e = environ; *e;) {
		if (strncmp(*e, prefix, n) != 0 || strcspn(*e, "=") >= sizeof(name)) {
			e++;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*e, "="), *e);
		unsetenv(name);
		e = environ;
	}
}

void aws_env_clean(void)
{
	static const char *const others[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
					     "all_proxy",  "ALL_PROXY",	  "no_proxy"};

	aws_env_remove();
	unset_prefix("AWS_");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		unsetenv(others[i]);
	strcpy(home, "/tmp/kmsvol-test-home-XXXXXX");
	if (!mkdtemp(home)) {
		perror(home);
		abort();
	}
	setenv("HOME", home, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

const char *aws_env_write(const char *rest, const char *text)
{
	static char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/.aws", home);
	(void)mkdir(path, 0700); /* may be there */
	snprintf(path, sizeof(path), "%s%s", home, rest);
	f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
		perror(path);
		abort();
	}
	return path;
}
