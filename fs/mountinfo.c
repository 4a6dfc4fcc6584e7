/* Reading /proc/self/mountinfo. See mountinfo.h. */
#include "mountinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"

#define MOUNTPOINT_FIELD 5 /* counted from 1; then options, optional fields, "-", type, source */

bool mountinfo_is_within(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 &&
	       (path[n] == '/' || path[n] == '\0' || strcmp(dir, "/") == 0);
}

static bool octal(const char *p)
{
	return p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
	       p[2] <= '7';
}

void mountinfo_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (from[0] == '\\' && octal(from + 1)) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* Split one line; false when it has not the form it should have. */
static bool split(char *line, struct mountinfo_entry *entry)
{
	char *save = NULL, *word = strtok_r(line, " \n", &save), *mountpoint = NULL, *type, *source;

	for (int field = 1; word && strcmp(word, "-") != 0; field++) {
		if (field == 3 && sscanf(word, "%u:%u", &entry->major, &entry->minor) != 2)
			return false;
		if (field == MOUNTPOINT_FIELD)
			mountpoint = word;
		word = strtok_r(NULL, " \n", &save);
	}
	type = strtok_r(NULL, " \n", &save);
	source = strtok_r(NULL, " \n", &save);
	if (!mountpoint || !type || !source)
		return false;
	mountinfo_unescape(mountpoint);
	mountinfo_unescape(type);
	mountinfo_unescape(source);
	entry->mountpoint = mountpoint;
	entry->fstype = type;
	entry->source = source;
	return true;
}

int mountinfo_each(int (*fn)(const struct mountinfo_entry *entry, void *arg), void *arg,
		   struct err *err)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t room = 0;
	int r = 0;

	if (!f)
		return err_set(err, EIO, "/proc/self/mountinfo: %s", strerror(errno));
	while (r == 0 && getline(&line, &room, f) > 0) {
		struct mountinfo_entry entry;

		if (split(line, &entry))
			r = fn(&entry, arg);
	}
	if (r == 0 && ferror(f))
		r = err_set(err, EIO, "/proc/self/mountinfo: cannot read");
	free(line);
	(void)fclose(f); /* only read */
	return r;
}
