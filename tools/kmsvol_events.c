/* kmsvol events: what happened to a volume, from events.jsonl, as a list or as it stands there. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "events.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_place.h"
#include "secret.h"

#define LOOK_MS 100 /* between two looks at the file */

static const char help[] =
	"List what happened to a volume: mounts, key checks, changes of state with their RDS event "
	"ids,\n"
	"what was done about them. VOL is its directory, or where it is mounted; it need not be "
	"mounted.\n"
	"--follow goes on with what happens, until it is interrupted.";

struct list {
	bool as_json, checks;
	FILE *file; /* NULL: not there yet */
	ino_t inode;
	char *line; /* as far as it was read */
	size_t room;
};

static const char *text_of(const struct kms_json *obj, const char *name)
{
	const char *text = "";
	struct err ignored;

	if (kms_json_has(obj, name))
		(void)kms_json_str(obj, name, &text, &ignored); /* then it stays "" */
	return text;
}

/* One event as a line for people. */
static void print_event(const struct kms_json *obj)
{
	const char *from = text_of(obj, "from"), *reason = text_of(obj, "reason");
	const char *rds = text_of(obj, "rds_event"), *result = text_of(obj, "result");

	printf("%-24s  %-14s", text_of(obj, "time"), text_of(obj, "event"));
	if (*from)
		printf("  %s -> %s", from, text_of(obj, "to"));
	if (*result)
		printf("  %s", result);
	if (*rds)
		printf("  %s: %s", rds, text_of(obj, "message"));
	else if (*reason)
		printf("  %s", reason);
	printf("\n");
}

static void print_line(const struct list *l, const char *line, size_t len)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	struct err ignored;

	if (kms_json_parse(line, len, &obj, &ignored) < 0)
		return; /* cut off by a full disk or a kill */
	if (!l->checks && !l->as_json && strcmp(text_of(obj, "event"), "key-check") == 0 &&
	    strcmp(text_of(obj, "result"), "ok") == 0)
		return;
	if (l->as_json)
		printf("%.*s\n", (int)len, line);
	else
		print_event(obj);
}

/* All whole lines from where the file was read last. */
static int print_new(struct list *l, struct err *err)
{
	ssize_t n;

	clearerr(l->file);
	while ((n = getline(&l->line, &l->room, l->file)) > 0) {
		if (l->line[n - 1] != '\n') { /* being written: again when it is whole */
			if (fseeko(l->file, -n, SEEK_CUR) != 0)
				return err_set(err, errno, "%s: %s", EVENTS_FILE, strerror(errno));
			break;
		}
		print_line(l, l->line, (size_t)n - 1);
	}
	if (ferror(l->file))
		return err_set(err, errno, "%s: %s", EVENTS_FILE, strerror(errno));
	if (fflush(stdout) != 0)
		return err_set(err, errno, "standard output: %s", strerror(errno));
	return 0;
}

/* Open the file of that name; one that is not there is none. */
static int open_file(struct list *l, int dir_fd, const char *name, struct err *err)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_set(err, errno, "%s: %s", name, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !(l->file = fdopen(fd, "r"))) {
		(void)close(fd);
		return err_set(err, EUCLEAN, "%s: no file that can be read", name);
	}
	l->inode = st.st_ino;
	return 0;
}

static void close_file(struct list *l)
{
	if (l->file)
		(void)fclose(l->file); /* nothing was written */
	l->file = NULL;
}

static int print_file(struct list *l, int dir_fd, const char *name, struct err *err)
{
	int r = open_file(l, dir_fd, name, err);

	return r == 0 && l->file ? print_new(l, err) : r;
}

/* Another file has the name: the old one is read to its end, then the new one is the one to follow. */
static int follow_rotation(struct list *l, int dir_fd, struct err *err)
{
	struct stat st;

	if (l->file &&
	    (fstatat(dir_fd, EVENTS_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino == l->inode))
		return 0;
	if (l->file && print_new(l, err) < 0)
		return -err->num;
	close_file(l);
	return print_file(l, dir_fd, EVENTS_FILE, err);
}

/* Until a signal: then the program ends as it would have, with all lines printed. */
static int follow(struct list *l, int dir_fd, struct err *err)
{
	const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
	int r = 0;

	while (r == 0) {
		r = l->file ? print_new(l, err) : 0;
		if (r == 0)
			r = follow_rotation(l, dir_fd, err);
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

static int run(struct list *l, const char *dir, bool following, struct err *err)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (dir_fd < 0)
		return err_set(err, errno, "%s", strerror(errno));
	r = print_file(l, dir_fd, EVENTS_OLD, err);
	close_file(l);
	if (r == 0)
		r = print_file(l, dir_fd, EVENTS_FILE, err);
	if (r == 0 && following)
		r = follow(l, dir_fd, err);
	close_file(l);
	(void)close(dir_fd); /* nothing was written */
	free(l->line);
	return r;
}

int cmd_events(int argc, char **argv)
{
	struct list l = {0};
	bool following = false;
	const struct cmd_option options[] = {
		{"follow", NULL, CMD_FLAG, &following, "go on with what happens", NULL},
		{"checks", NULL, CMD_FLAG, &l.checks, "list good key checks, too", NULL},
		{"json", NULL, CMD_FLAG, &l.as_json, "a JSON object a line", NULL},
	};
	const struct cmd cmd = {"events", "VOL", 1, help, options, 3};
	struct place place;
	struct err err;
	int r, first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	if (place_find(argv[first], &place, &err) < 0)
		return cmd_fail(&err);
	r = place_check_volume(&place, &err);
	if (r == 0 && (r = run(&l, place.volume_dir, following, &err)) < 0)
		(void)err_prefix(&err, "volume '%s'", place.volume_dir);
	place_free(&place);
	return r < 0 ? cmd_fail(&err) : CMD_DONE;
}
