/* The AWS configuration files' INI: one pass that cuts the text into lines in place. See aws_ini.h. */
#include "aws_ini.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"

struct entry {
	const char *kind;   /* NULL: the section has one word */
	const char *name;   /* of the section */
	const char *parent; /* NULL: a plain key */
	const char *key;    /* NULL: the section's head itself */
	const char *value;
};

struct aws_ini {
	struct buf text; /* what the entries point into */
	struct entry *entries;
	size_t count;
	size_t cap;
};

void aws_ini_free(struct aws_ini *ini)
{
	if (!ini)
		return;
	buf_free(&ini->text);
	free(ini->entries);
	free(ini);
}

static int add(struct aws_ini *ini, const struct entry *e)
{
	if (ini->count == ini->cap) {
		size_t cap = ini->cap ? 2 * ini->cap : 32;
		struct entry *more = reallocarray(ini->entries, cap, sizeof(*more));

		if (!more)
			return -ENOMEM;
		ini->entries = more;
		ini->cap = cap;
	}
	ini->entries[ini->count++] = *e;
	return 0;
}

static char *trim(char *p)
{
	size_t n;

	p += strspn(p, " \t");
	n = strlen(p);
	while (n && strchr(" \t\r", p[n - 1]))
		n--;
	p[n] = '\0';
	return p;
}

/* Cut "[profile "a b"]" into kind and name. */
static int parse_head(char *line, struct entry *e)
{
	char *end = strchr(line, ']');
	char *p, *space;
	size_t n;

	if (!end)
		return -EINVAL;
	p = end + 1 + strspn(end + 1, " \t");
	if (*p && *p != '#' && *p != ';')
		return -EINVAL;
	*end = '\0';
	p = trim(line + 1);
	*e = (struct entry){.name = p};
	space = strpbrk(p, " \t");
	if (space && *p != '"' && *p != '\'') {
		*space = '\0';
		e->kind = p;
		p = trim(space + 1);
	}
	n = strlen(p);
	if (n >= 2 && (*p == '"' || *p == '\'') && p[n - 1] == *p) {
		p[n - 1] = '\0';
		p++;
	}
	e->name = p;
	return *p ? 0 : -EINVAL;
}

/* One line. @at is the section and the last plain key so far. */
static int parse_line(struct aws_ini *ini, char *line, struct entry *at)
{
	bool indented = *line == ' ' || *line == '\t';
	struct entry e = *at;
	char *equals, *p = trim(line);

	if (!*p || *p == '#' || *p == ';')
		return 0;
	if (*p == '[' && !indented) {
		if (parse_head(p, at) < 0)
			return -EINVAL;
		return add(ini, at);
	}
	if (!at->name)
		return -EINVAL;
	if (indented && at->key && *at->value)
		return 0; /* the second line of a value: none of ours has one */
	equals = strchr(p, '=');
	if (!equals || equals == p)
		return -EINVAL;
	*equals = '\0';
	e.parent = indented ? at->key : NULL;
	e.key = trim(p);
	e.value = trim(equals + 1);
	if (!indented)
		*at = e;
	return add(ini, &e);
}

static int parse(struct aws_ini *ini, const char *name, struct err *err)
{
	char *p = (char *)ini->text.bytes, *end;
	struct entry at = {0};
	unsigned n = 0;

	if (!p)
		return 0;
	if (strlen(p) != ini->text.len)
		return err_set(err, EINVAL, "'%s': has a NUL byte in it", name);
	if (strncmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3; /* a byte order mark */
	for (; p; p = end) {
		int r;

		end = strchr(p, '\n');
		if (end)
			*end++ = '\0';
		n++;
		r = parse_line(ini, p, &at);
		if (r == -ENOMEM)
			return err_set(err, ENOMEM, "'%s': out of memory", name);
		if (r < 0)
			return err_set(err, EINVAL,
				       "'%s': line %u is no section, 'key = value' or comment",
				       name, n);
	}
	return 0;
}

static int finish(struct aws_ini *ini, const char *name, struct aws_ini **ret_ini, struct err *err)
{
	int r = parse(ini, name, err);

	if (r < 0) {
		aws_ini_free(ini);
		return r;
	}
	*ret_ini = ini;
	return 0;
}

static struct aws_ini *new_ini(void)
{
	struct aws_ini *ini = calloc(1, sizeof(*ini));

	if (ini)
		ini->text.max = AWS_INI_FILE_MAX;
	return ini;
}

int aws_ini_parse(const char *name, const char *text, size_t len, struct aws_ini **ret_ini,
		  struct err *err)
{
	struct aws_ini *ini = new_ini();

	if (!ini || buf_append(&ini->text, text, len) < 0) {
		aws_ini_free(ini);
		return err_set(err, ENOMEM, "'%s': out of memory or too long", name);
	}
	return finish(ini, name, ret_ini, err);
}

static int read_all(int fd, struct buf *text)
{
	uint8_t chunk[4096];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n > 0)
			r = buf_append(text, chunk, (size_t)n);
		else if (errno != EINTR)
			r = -errno;
	}
	OPENSSL_cleanse(chunk, sizeof(chunk));
	return r;
}

int aws_ini_load(const char *path, struct aws_ini **ret_ini, struct err *err)
{
	struct aws_ini *ini;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0) {
		int num = errno == ENOTDIR ? ENOENT : errno;

		return err_set(err, num, "'%s': %s", path, strerror(num));
	}
	ini = new_ini();
	r = ini ? read_all(fd, &ini->text) : -ENOMEM;
	(void)close(fd); /* only read from */
	if (r < 0) {
		aws_ini_free(ini);
		if (r == -EMSGSIZE)
			return err_set(err, EINVAL, "'%s': is larger than %d bytes", path,
				       AWS_INI_FILE_MAX);
		return err_set(err, r == -ENOMEM ? ENOMEM : EINVAL, "'%s': cannot read it: %s",
			       path, strerror(-r));
	}
	return finish(ini, path, ret_ini, err);
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_key(const char *a, const char *b)
{
	return a == b || (a && b && strcasecmp(a, b) == 0);
}

const char *aws_ini_get(const struct aws_ini *ini, const char *kind, const char *name,
			const char *parent, const char *key)
{
	if (!ini)
		return NULL;
	for (size_t i = ini->count; i-- > 0;) {
		const struct entry *e = &ini->entries[i];

		if (e->key && same(e->kind, kind) && same(e->name, name) &&
		    same_key(e->parent, parent) && same_key(e->key, key))
			return e->value;
	}
	return NULL;
}

bool aws_ini_has_section(const struct aws_ini *ini, const char *kind, const char *name)
{
	for (size_t i = 0; ini && i < ini->count; i++)
		if (!ini->entries[i].key && same(ini->entries[i].kind, kind) &&
		    same(ini->entries[i].name, name))
			return true;
	return false;
}
