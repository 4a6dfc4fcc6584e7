/* kmsvol scenario report: the records of a run from their files, and the report into its files. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_scenario.h"
#include "secret.h"
#include "timeline.h"
#include "timeline_html.h"
#include "timeline_json.h"
#include "timeline_load.h"
#include "timeline_style.h"
#include "timeline_svg.h"

#define REPORT_MAX (64 * 1024 * 1024) /* bytes of one file of it */
#define ENDING	   ".jsonl"

static const char help[] = "Write report.html, timeline.svg and report.json into DIR anew, from "
			   "the records of a run in DIR/data.";

/* All lines of DIR/data/@file. A last line that was cut off is left out. */
static int load_file(struct timeline *tl, const char *dir, const char *file,
		     enum timeline_record record, const char *volume, struct err *err)
{
	AUTO(freep) char *path = NULL, *line = NULL;
	size_t room = 0, number = 0;
	ssize_t n;
	FILE *f;
	int r = 0;

	if (asprintf(&path, "%s/data/%s", dir, file) < 0) {
		path = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	f = fopen(path, "re");
	if (!f)
		return err_set(err, errno, "'%s': %s", path, strerror(errno));
	while (r >= 0 && (n = getline(&line, &room, f)) > 0) {
		number++;
		if (line[n - 1] != '\n')
			break;
		r = timeline_load(tl, record, volume, line, (size_t)n - 1, err);
	}
	if (r < 0)
		(void)err_prefix(err, "'%s': line %zu", path, number);
	else if (ferror(f))
		r = err_set(err, errno, "'%s': %s", path, strerror(errno));
	(void)fclose(f); /* nothing was written */
	return r;
}

/* The file of a volume's samples, or of its diary, where there is one. */
static int load_of_volume(struct timeline *tl, const char *dir, const char *prefix,
			  enum timeline_record record, const char *volume, struct err *err)
{
	AUTO(freep) char *file = NULL;
	int r;

	if (asprintf(&file, "%s-%s" ENDING, prefix, volume) < 0) {
		file = NULL;
		return err_set(err, ENOMEM, "out of memory");
	}
	r = load_file(tl, dir, file, record, volume, err);
	return r == -ENOENT ? 0 : r;
}

static int load(struct timeline *tl, const char *dir, struct err *err)
{
	int r = load_file(tl, dir, "script" ENDING, TIMELINE_SCRIPT, NULL, err);

	if (r == 0 && (!tl->name || !tl->verdict))
		r = err_set(err, EUCLEAN,
			    "'%s/data/script" ENDING "': no run with a beginning and an end", dir);
	for (size_t i = 0; r == 0 && i < tl->volume_count; i++) {
		const char *name = tl->volumes[i].states.name;

		r = load_of_volume(tl, dir, "samples", TIMELINE_SAMPLES, name, err);
		if (r == 0)
			r = load_of_volume(tl, dir, "diary", TIMELINE_DIARY, name, err);
	}
	if (r == 0)
		r = load_file(tl, dir, "calls" ENDING, TIMELINE_CALLS, NULL, err);
	return r == -ENOENT && tl->name ? 0 : r; /* against AWS there is no list of calls */
}

static int save(const char *dir, const char *file, const void *bytes, size_t len, struct err *err)
{
	AUTO(freep) char *path = NULL, *partial = NULL;
	FILE *f;
	int r = 0;

	if (asprintf(&path, "%s/%s", dir, file) < 0)
		path = NULL;
	if (asprintf(&partial, "%s/%s.partial", dir, file) < 0)
		partial = NULL;
	if (!path || !partial)
		return err_set(err, ENOMEM, "out of memory");
	f = fopen(partial, "we");
	if (!f)
		return err_set(err, errno, "'%s': %s", partial, strerror(errno));
	if (fwrite(bytes, 1, len, f) != len || fflush(f) != 0 || fsync(fileno(f)) < 0)
		r = err_set(err, errno, "'%s': %s", partial, strerror(errno));
	if (fclose(f) != 0 && r == 0)
		r = err_set(err, errno, "'%s': %s", partial, strerror(errno));
	if (r == 0 && rename(partial, path) < 0)
		r = err_set(err, errno, "'%s': %s", path, strerror(errno));
	if (r < 0)
		(void)unlink(partial); /* what failed is told already */
	return r;
}

static int save_made(const char *dir, const char *file, const struct timeline *tl,
		     int (*make)(const struct timeline *tl, struct buf *out), struct err *err)
{
	struct buf out = {.max = REPORT_MAX};
	int r = make(tl, &out);

	if (r < 0)
		r = err_set(err, -r, "'%s/%s': %s", dir, file, strerror(-r));
	else
		r = save(dir, file, out.bytes, out.len, err);
	buf_free(&out);
	return r;
}

static int make_json(const struct timeline *tl, struct buf *out)
{
	AUTO(kms_json_freep) struct kms_json *obj = timeline_json(tl);
	AUTO(freep) char *text = obj ? kms_json_text_pretty(obj) : NULL;

	return text ? buf_append(out, text, strlen(text)) | buf_append(out, "\n", 1) : -ENOMEM;
}

/* A file of its own says that it is one. */
static int make_svg(const struct timeline *tl, struct buf *out)
{
	static const char head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

	return buf_append(out, head, sizeof(head) - 1) | timeline_svg(tl, true, out);
}

int scenario_report_cmd(int argc, char **argv)
{
	AUTO(timeline_freep) struct timeline *tl = NULL;
	const struct cmd cmd = {"scenario report", "DIR", 1, help, NULL, 0};
	const char *dir;
	struct err err;
	int first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	dir = argv[first];
	tl = timeline_new();
	if (!tl) {
		(void)err_set(&err, ENOMEM, "out of memory");
		return cmd_fail(&err);
	}
	if (load(tl, dir, &err) < 0 || save_made(dir, "timeline.svg", tl, make_svg, &err) < 0 ||
	    save_made(dir, "report.html", tl, timeline_html, &err) < 0 ||
	    save_made(dir, "report.json", tl, make_json, &err) < 0)
		return cmd_fail(&err);
	return CMD_DONE;
}
