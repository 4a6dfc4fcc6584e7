/*
 * The INI dialect of the AWS configuration files (AWS SDKs and Tools Reference Guide, "Shared
 * config and credentials files"). Holds the text in one buffer that is wiped when freed.
 */
#ifndef KMSCLIENT_AWS_INI_H
#define KMSCLIENT_AWS_INI_H

#include <stdbool.h>
#include <stddef.h>

struct aws_ini;
struct err;

#define AWS_INI_FILE_MAX (1024 * 1024) /* bytes */

/*
 * Read a file. -ENOENT and -EACCES: there is none, or not for us; -EINVAL: it makes no sense (the
 * sentence names file and line, never what stands there, which may be a secret); -ENOMEM.
 */
int aws_ini_load(const char *path, struct aws_ini **ret_ini, struct err *err);

/* The same from memory; @name stands for the path in sentences. @text is copied. */
int aws_ini_parse(const char *name, const char *text, size_t len, struct aws_ini **ret_ini,
		  struct err *err);
void aws_ini_free(struct aws_ini *ini);

/*
 * The value of @key in the section "@kind @name", or "@name" with @kind NULL; the ini's, NULL when
 * absent. @parent: the key is an indented one below it (NULL: a plain one). Keys ignore case. The
 * last one wins.
 */
const char *aws_ini_get(const struct aws_ini *ini, const char *kind, const char *name,
			const char *parent, const char *key);

bool aws_ini_has_section(const struct aws_ini *ini, const char *kind, const char *name);

#endif
