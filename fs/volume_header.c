/*
 * volume.json as a file: read, written anew. Its text is volume_header_json.c's. See volume_header.h.
 */
#include "volume_header.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "secret.h"
#include "textfile.h"

void volume_header_free(struct volume_header *header)
{
	if (!header)
		return;
	for (size_t i = 0; i < header->pair_count; i++) {
		free((char *)(uintptr_t)header->pairs[i].name);
		free((char *)(uintptr_t)header->pairs[i].value);
	}
	free(header->pairs);
	kms_blob_free(&header->wrapped_key);
	kms_blob_free(&header->previous_key);
	free(header);
}

void volume_header_freep(struct volume_header **header)
{
	volume_header_free(*header);
	*header = NULL;
}

int volume_header_add_pair(struct volume_header *header, const char *name, const char *value,
			   struct err *err)
{
	struct kms_pair *pairs;
	char *n = NULL, *v = NULL;

	if (header->pair_count >= VOLUME_PAIRS_MAX)
		return err_set(err, E2BIG, "encryption context has more than %d pairs",
			       VOLUME_PAIRS_MAX);
	pairs = reallocarray(header->pairs, header->pair_count + 1, sizeof(*pairs));
	if (pairs)
		header->pairs = pairs;
	n = strdup(name);
	v = strdup(value);
	if (!pairs || !n || !v) {
		free(n);
		free(v);
		return err_set(err, ENOMEM, "encryption context: out of memory");
	}
	pairs[header->pair_count++] = (struct kms_pair){.name = n, .value = v};
	return 0;
}

int volume_header_load(const char *dir, struct volume_header **ret_header, struct err *err)
{
	AUTO(freep) char *text = NULL;
	struct stat st;
	int dirfd, r;

	if (stat(dir, &st) < 0)
		return err_set(err, errno, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "this is no volume: not a directory");
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	r = textfile_read(dirfd, VOLUME_HEADER_NAME, VOLUME_HEADER_SIZE_MAX, &text);
	(void)close(dirfd); /* nothing was written */
	if (r == -ENOENT)
		return err_set(err, ENOENT, "this is no volume: %s is missing", VOLUME_HEADER_NAME);
	if (r == -EFBIG)
		return err_set(err, EUCLEAN, "%s is longer than %d bytes", VOLUME_HEADER_NAME,
			       VOLUME_HEADER_SIZE_MAX);
	if (r == -EUCLEAN)
		return err_set(err, EUCLEAN, "%s: not JSON: it has a NUL byte", VOLUME_HEADER_NAME);
	if (r < 0)
		return err_set(err, -r, "%s: %s", VOLUME_HEADER_NAME, strerror(-r));
	if (volume_header_parse(text, strlen(text), ret_header, err) < 0)
		return err_prefix(err, VOLUME_HEADER_NAME);
	return 0;
}

int volume_header_save(const struct volume_header *header, const char *dir, struct err *err)
{
	AUTO(freep) char *text = volume_header_text(header);
	int dirfd, r;

	if (!text)
		return err_set(err, ENOMEM, "%s: out of memory", VOLUME_HEADER_NAME);
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(err, errno, "%s: %s", VOLUME_HEADER_NAME, strerror(errno));
	r = textfile_replace(dirfd, VOLUME_HEADER_NAME, text, 0644);
	close(dirfd);
	if (r < 0)
		return err_set(err, -r, "%s: cannot write: %s", VOLUME_HEADER_NAME, strerror(-r));
	return 0;
}
