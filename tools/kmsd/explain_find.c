/* Finding one event's chain of decisions in the files of a data directory. See explain.h. */
#include "explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "decisions.h"
#include "err.h"
#include "ids.h"
#include "kms_json.h"
#include "linefile.h"
#include "secret.h"

struct search {
	const char *needle; /* of the line's text */
	const char *member, *id;
	struct kms_json *found;
	struct err *err;
};

/* The line around @at, if its member says the id: the text alone could be a value of something else. */
static int look_at(struct search *search, const char *text, size_t len, const char *at)
{
	const char *begin = memrchr(text, '\n', (size_t)(at - text));
	const char *end = memchr(at, '\n', len - (size_t)(at - text));
	struct kms_json *record = NULL;
	const struct kms_json *id;
	struct err ignored;
	int r;

	if (!end)
		return 0; /* being written, or torn */
	begin = begin ? begin + 1 : text;
	r = kms_json_parse(begin, (size_t)(end - begin), &record, &ignored);
	if (r < 0)
		return r == -ENOMEM ? err_set(search->err, ENOMEM, "event") : 0;
	id = kms_json_get(record, search->member);
	if (id && strcmp(kms_json_string_value(id), search->id) == 0)
		search->found = record;
	else
		kms_json_free(record);
	return 0;
}

static int search_text(struct search *search, const char *text, size_t len)
{
	size_t needle_len = strlen(search->needle);
	const char *at = text;
	int r = 0;

	while (r == 0 && !search->found &&
	       (at = memmem(at, len - (size_t)(at - text), search->needle, needle_len))) {
		r = look_at(search, text, len, at);
		at += needle_len;
	}
	return r;
}

static int search_fd(struct search *search, int fd)
{
	struct stat st;
	void *text;
	int r;

	if (fstat(fd, &st) < 0)
		return err_set(search->err, errno, "cannot be read: %s", strerror(errno));
	if (st.st_size == 0)
		return 0;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (text == MAP_FAILED)
		return err_set(search->err, errno, "cannot be read: %s", strerror(errno));
	r = search_text(search, text, (size_t)st.st_size);
	(void)munmap(text, (size_t)st.st_size); /* ours */
	return r;
}

/* All files of a stem, newest first. What is turned over meanwhile is found under its new name. */
static int search_stem(struct search *search, int dir_fd, const char *stem)
{
	uint32_t first, last;
	int r = linefile_numbers(dir_fd, stem, &first, &last, search->err);

	for (uint32_t n = last + 1; r == 0 && !search->found && n > 0 && n >= first; n--) {
		int fd = linefile_open_number(dir_fd, stem, n);

		if (fd == -ENOENT)
			continue; /* nothing was written yet, or it was taken away */
		if (fd < 0)
			return err_set(search->err, -fd, "'%s': %s", stem, strerror(-fd));
		r = search_fd(search, fd);
		(void)close(fd); /* only read */
		if (r < 0)
			(void)err_prefix(search->err, "'%s'", stem);
	}
	return r;
}

/* The trail has it: why there is no chain. */
static int without_chain(const struct kms_json *record, struct err *err)
{
	const struct kms_json *who = kms_json_get(record, "userIdentity");
	const struct kms_json *type = who ? kms_json_get(who, "type") : NULL;
	const struct kms_json *code = kms_json_get(record, "errorCode");

	if (type && strcmp(kms_json_string_value(type), "Unknown") == 0)
		return err_set(err, ENODATA,
			       "no policy was asked: the request was refused before it was known "
			       "who sent it: %s",
			       code ? kms_json_string_value(code) : "no code");
	if (!code)
		return err_set(err, ENODATA,
			       "it was allowed, and its chain of decisions is not kept (any more): "
			       "the server keeps those with --explain-allowed only");
	return err_set(
		err, ENODATA,
		"the audit trail has it, but its chain of decisions is not kept any more (or "
		"it is another account's record of the same call)");
}

int explain_find(int dir_fd, const char *id, struct kms_json **ret_record, struct err *err)
{
	static const char *const stems[] = {DECISIONS_REFUSED, DECISIONS_ALLOWED};
	char needle[IDS_UUID_LEN + 3];
	struct search search = {.needle = needle, .member = "EventId", .id = id, .err = err};
	int r = 0;

	(void)snprintf(needle, sizeof(needle), "\"%.36s\"", id); /* fits */
	for (size_t i = 0; i < 2 && r == 0 && !search.found; i++)
		r = search_stem(&search, dir_fd, stems[i]);
	if (r == 0 && search.found) {
		*ret_record = search.found;
		return 0;
	}
	search.member = "eventID";
	r = r ? r : search_stem(&search, dir_fd, AUDIT_STEM);
	if (r == 0)
		r = search.found ? without_chain(search.found, err)
				 : err_set(err, ENOENT, "no such event");
	kms_json_free(search.found);
	return r;
}
