/*
 * The results as a picture: a panel for each job, a bar for each target, from the smallest to the largest value a
 * mark across its end. SVG by hand; PNG by rsvg-convert.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "kmsvol_bench.h"
#include "kmsvol_bench_child.h"
#include "secret.h"

#define COLUMNS	     3
#define PANEL_WIDTH  460
#define NAME_WIDTH   150
#define VALUE_WIDTH  100
#define BAR_HEIGHT   16
#define BAR_STEP     20
#define TITLE_HEIGHT 34
#define PANEL_GAP    26
#define TOP	     78
#define BOTTOM	     30
#define PANELS_MAX   16
#define BARS_MAX     24
#define CONVERT_MS   60000

struct panel {
	char title[96];
	const struct bench_row *bars[BARS_MAX];
	char names[BARS_MAX][BENCH_NAME_MAX];
	size_t count;
};

struct picture {
	struct panel panels[PANELS_MAX];
	size_t count;
	FILE *out;
};

/* Text that is markup's where it may be. */
static void put_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if ((unsigned char)*text >= ' ')
			fputc(*text, out);
	}
}

__attribute__((format(printf, 5, 6))) static void text_at(FILE *out, double x, double y,
							  const char *kind, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* may be cut */
	va_end(args);
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, kind);
	put_text(out, text);
	fputs("</text>\n", out);
}

/* Ours with encryption, ours without, the store, and others, by colour. */
static const char *kind_of(const struct bench_row *row)
{
	bool plain = strstr(row->target, "none") || strncmp(row->target, "passthrough", 11) == 0 ||
		     row->layer == BENCH_MEMORY;

	if (row->layer == BENCH_PEERS)
		return plain ? "plain" : "peer";
	return plain ? "plain" : row->layer == BENCH_STORE ? "store" : "ours";
}

static void draw_bar(FILE *out, const struct bench_row *row, const char *name, double x, double y,
		     double scale)
{
	struct bench_stat s = bench_row_stat(row, BENCH_RATE);
	double left = x + NAME_WIDTH, middle = y + BAR_HEIGHT / 2.0;

	text_at(out, left - 6, middle + 4, "name", "%s", name);
	fprintf(out,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"%s\"/>\n"
		"<path d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\" class=\"mark\"/>\n",
		left, y, s.median * scale, BAR_HEIGHT, kind_of(row), left + s.min * scale, middle,
		left + s.max * scale, left + s.min * scale, middle - 4, left + s.max * scale,
		middle - 4);
	text_at(out, left + s.max * scale + 6, middle + 4, "value", "%.0f", s.median);
}

static void draw_panel(FILE *out, const struct panel *p, double x, double y)
{
	double most = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct bench_stat s = bench_row_stat(p->bars[i], BENCH_RATE);

		most = s.max > most ? s.max : most;
	}
	text_at(out, x + NAME_WIDTH, y + 20, "title", "%s", p->title);
	for (size_t i = 0; i < p->count; i++)
		draw_bar(out, p->bars[i], p->names[i], x, y + TITLE_HEIGHT + (double)i * BAR_STEP,
			 most > 0 ? (PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH) / most : 0);
}

static void add_bar(struct panel *p, const struct bench_row *row)
{
	if (p->count == BARS_MAX || bench_row_stat(row, BENCH_RATE).count == 0 ||
	    strcmp(row->target, BENCH_PLAIN_FILE) == 0) /* it makes all others short */
		return;
	p->bars[p->count] = row;
	(void)snprintf(p->names[p->count++], BENCH_NAME_MAX, "%s%.40s",
		       row->layer == BENCH_STORE ? "store " : "", row->target); /* fits */
}

/* A panel of all rows of a job in the layers from @first to @last. */
static void add_panel(struct picture *pic, const struct bench *b, enum bench_layer first,
		      enum bench_layer last, const char *job, const char *title)
{
	struct panel *p = &pic->panels[pic->count];

	if (pic->count == PANELS_MAX)
		return;
	p->count = 0;
	(void)snprintf(p->title, sizeof(p->title), "%s", title); /* may be cut */
	if (first == BENCH_CIPHER) {
		const struct bench_row *copy = bench_find(
			b, BENCH_MEMORY, strstr(job, "x1") ? "copy x1" : "copy x2", "memcpy");

		if (copy)
			add_bar(p, copy);
	}
	for (size_t i = 0; i < b->row_count; i++)
		if (b->rows[i].layer >= first && b->rows[i].layer <= last &&
		    strcmp(b->rows[i].job, job) == 0)
			add_bar(p, &b->rows[i]);
	pic->count += p->count > 0;
}

static void choose_panels(struct picture *pic, const struct bench *b)
{
	char title[96];

	add_panel(pic, b, BENCH_CIPHER, BENCH_CIPHER, "enc 4k x1", "encrypt 4 KiB blocks, MiB/s");
	add_panel(pic, b, BENCH_CIPHER, BENCH_CIPHER, "dec 4k x1", "decrypt 4 KiB blocks, MiB/s");
	for (size_t i = 0; i < bench_job_count; i++) {
		(void)snprintf(title, sizeof(title), "%s, %s", bench_jobs[i].text,
			       bench_jobs[i].unit); /* fits */
		add_panel(pic, b, BENCH_STORE, BENCH_PEERS, bench_jobs[i].name, title);
	}
	if (pic->count == 0)
		add_panel(pic, b, BENCH_MEMORY, BENCH_MEMORY, "copy x1", "copying, MiB/s");
}

static double panel_height(const struct panel *p)
{
	return TITLE_HEIGHT + (double)p->count * BAR_STEP + PANEL_GAP;
}

/* Of the panels beside each other from @first on, the highest. */
static double line_height(const struct picture *pic, size_t first)
{
	double most = 0;

	for (size_t i = first; i < first + COLUMNS && i < pic->count; i++)
		most = panel_height(&pic->panels[i]) > most ? panel_height(&pic->panels[i]) : most;
	return most;
}

static const char *text_of(const struct kms_json *machine, const char *name)
{
	const struct kms_json *value = kms_json_get(machine, name);

	return value ? kms_json_string_value(value) : "";
}

static void draw_head(FILE *out, const struct kms_json *machine, double width, double height)
{
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" font-family=\"DejaVu Sans, Arial, sans-serif\">\n"
		"<style>text{font-size:11px;fill:#222}.head{font-size:17px;font-weight:bold}"
		".title{font-size:13px;font-weight:bold}.name{text-anchor:end}.value{fill:#444}"
		".ours{fill:#1f5fa8}.store{fill:#8ab4de}.peer{fill:#d9822b}.plain{fill:#a9a9a9}"
		".mark{stroke:#111;stroke-width:1.2;fill:none}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		width, height, width, height);
	text_at(out, 20, 28, "head",
		"kmsvol bench: median, and smallest to largest; more is better");
	text_at(out, 20, 48, "value", "%s, Linux %s, OpenSSL %s, libipsec-mb %s, on %s, %s",
		text_of(machine, "cpu"), text_of(machine, "kernel"), text_of(machine, "openssl"),
		text_of(machine, "libipsec_mb"), text_of(machine, "backing_filesystem"),
		text_of(machine, "time"));
}

/* What the colours mean. */
static void draw_legend(FILE *out)
{
	static const char *const kinds[][2] = {{"ours", "kmsvol, encrypted"},
					       {"store", "its store without FUSE"},
					       {"peer", "others, encrypted"},
					       {"plain", "without encryption"}};
	double x = 20;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++, x += 190) {
		fprintf(out,
			"<rect x=\"%.1f\" y=\"58\" width=\"12\" height=\"12\" class=\"%s\"/>\n", x,
			kinds[i][0]);
		text_at(out, x + 18, 68, "value", "%s", kinds[i][1]);
	}
}

char *bench_svg(const struct bench *b, const struct kms_json *machine)
{
	struct picture *pic = calloc(1, sizeof(*pic));
	double height = TOP + BOTTOM, y = TOP;
	char *text = NULL;
	size_t len;
	bool bad;

	if (!pic)
		return NULL;
	choose_panels(pic, b);
	for (size_t i = 0; i < pic->count; i += COLUMNS)
		height += line_height(pic, i);
	pic->out = open_memstream(&text, &len);
	if (!pic->out) {
		free(pic);
		return NULL;
	}
	draw_head(pic->out, machine, COLUMNS * PANEL_WIDTH + 20, height);
	draw_legend(pic->out);
	for (size_t i = 0; i < pic->count; i++) {
		draw_panel(pic->out, &pic->panels[i], (double)(i % COLUMNS) * PANEL_WIDTH, y);
		if (i % COLUMNS == COLUMNS - 1)
			y += line_height(pic, i - (COLUMNS - 1));
	}
	fputs("</svg>\n", pic->out);
	bad = ferror(pic->out);
	if (fclose(pic->out) != 0 || bad) {
		free(text);
		text = NULL;
	}
	free(pic);
	return text;
}

static int write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	int r = 0;

	if (!file)
		return -errno;
	if (fputs(text, file) < 0)
		r = -errno;
	if (fclose(file) != 0 && r == 0)
		r = -errno;
	return r;
}

int bench_plot(const struct bench *b, const struct kms_json *machine, const char *path,
	       struct err *err)
{
	AUTO(freep) char *svg = bench_svg(b, machine);
	char from[PATH_MAX];
	const char *argv[] = {"rsvg-convert", "-f", "png", "-o", path, from, NULL};
	const char *dot = strrchr(path, '.');
	bool png = dot && strcmp(dot, ".png") == 0;
	int r;

	(void)snprintf(from, sizeof(from), "%s/plot.svg", b->work); /* fits */
	if (!svg)
		return err_set(err, ENOMEM, "plot: out of memory");
	r = write_text(png ? from : path, svg);
	if (r < 0)
		return err_set(err, -r, "plot '%s': %s", path, strerror(-r));
	if (png)
		r = child_run(b->work, "rsvg-convert", argv, CONVERT_MS, b->stop, err);
	return r < 0 ? err_prefix(err, "plot '%s'", path) : 0;
}
