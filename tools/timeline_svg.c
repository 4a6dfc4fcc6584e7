/* The frame of the picture: what is above and below the lanes. See timeline_svg.h. */
#include "timeline_svg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "markup.h"
#include "secret.h"
#include "timeline.h"
#include "timeline_lanes.h"
#include "timeline_style.h"

#define TITLE_Y	      34.0
#define MARKS_Y	      84.0 /* of their first row's words */
#define HEADING	      52.0 /* what title and the line below it take */
#define MARK_ROW      17.0
#define BADGE	      9.0 /* radius */
#define BADGE_GAP     22.0
#define STEP_ROW      20.0
#define TICKS	      12
#define LEAST_TICK_PX 64
#define WORDS_MAX     512
#define DOT	      "\xc2\xb7"

/* What the lanes need room above for. */
struct frame {
	struct picture *p;
	struct buf *out;    /* before the lanes */
	double marks;	    /* the first row's words of the marks */
	double top, bottom; /* of the lanes */
};

static double seconds(const struct timeline *tl, uint64_t t)
{
	return t > tl->begun ? (double)(t - tl->begun) / 1000 : 0;
}

/* In rows from the top down, so that words do not lie on each other; returns how many rows. */
static int mark_rows(const struct picture *p, int rows[], size_t count)
{
	double ends[PICTURE_ROWS] = {0};
	int most = 0;

	for (size_t i = 0; i < count; i++) {
		double x = picture_x(p, p->tl->marks[i].t);
		double width = markup_width(p->tl->marks[i].text, 12.5) + 10;
		bool left = x + width > PICTURE_WIDTH - 4;

		rows[i] = picture_row(ends, left ? x - width : x - 4, left ? x + 8 : x + width);
		most = rows[i] + 1 > most ? rows[i] + 1 : most;
	}
	return most;
}

static int put_marks(const struct frame *f, const int rows[])
{
	int r = 0;

	for (size_t i = 0; i < f->p->tl->mark_count; i++) {
		const struct timeline_step *m = &f->p->tl->marks[i];
		double x = picture_x(f->p, m->t), y = f->marks + rows[i] * MARK_ROW;
		bool left = x + markup_width(m->text, 12.5) + 10 > PICTURE_WIDTH - 4;

		if (!picture_shows(f->p, m->t))
			continue;
		r |= markup_line(f->out, "markline", (struct markup_box){x, y - 10, x, f->bottom}) |
		     markup_words(f->out, "mark", left ? "end" : "start", left ? x - 5 : x + 5, y,
				  m->text);
	}
	return r;
}

/* Where the badges of the steps go: at their moments, pushed apart where these are close. -1: not in the picture. */
static void place_badges(const struct picture *p, double x[])
{
	const struct timeline *tl = p->tl;
	double next = PICTURE_LEFT, limit = PICTURE_RIGHT;

	for (size_t i = 0; i < tl->step_count; i++) {
		x[i] = -1;
		if (!picture_shows(p, tl->steps[i].t))
			continue;
		x[i] = picture_x(p, tl->steps[i].t);
		if (x[i] < next)
			x[i] = next;
		next = x[i] + BADGE_GAP;
	}
	for (size_t i = tl->step_count; i-- > 0;) {
		if (x[i] < 0)
			continue;
		if (x[i] > limit)
			x[i] = limit;
		limit = x[i] - BADGE_GAP;
	}
}

static int put_badge(struct buf *out, double x, double y, size_t number)
{
	char words[24];

	(void)snprintf(words, sizeof(words), "%zu", number);
	return buf_printf(out, "<circle class=\"badge\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", x,
			  y, BADGE) |
	       markup_words(out, "number", "middle", x, y + 4, words);
}

static int put_badges(const struct frame *f, const double x[], double y)
{
	const struct timeline *tl = f->p->tl;
	int r = 0;

	for (size_t i = 0; i < tl->step_count; i++) {
		double at = picture_x(f->p, tl->steps[i].t);

		if (x[i] < 0)
			continue;
		r |= markup_line(f->out, "step",
				 (struct markup_box){at, f->top - 6, at, f->bottom}) |
		     buf_printf(f->out, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x[i],
				y + BADGE, at, f->top - 6) |
		     put_badge(f->out, x[i], y, i + 1);
	}
	return r;
}

static double tick_step(double whole, const double *nice, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (whole / nice[i] <= TICKS)
			return nice[i];
	return nice[count - 1] * (double)(uint64_t)(whole / nice[count - 1] / TICKS + 1);
}

static int put_tick(struct picture *p, uint64_t t, const char *words)
{
	double x = picture_x(p, t);

	return markup_line(p->out, "rule", (struct markup_box){x, p->y, x, p->y + 5}) |
	       markup_words(p->out, "tick", "middle", x, p->y + 19, words);
}

static int put_seconds(struct picture *p)
{
	static const double nice[] = {0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600};
	double from = seconds(p->tl, p->range.from), to = seconds(p->tl, p->range.to);
	double step = tick_step(to - from, nice, sizeof(nice) / sizeof(*nice));
	int r = markup_line(p->out, "rule",
			    (struct markup_box){PICTURE_LEFT, p->y, PICTURE_RIGHT, p->y}) |
		markup_words(p->out, "sub", "start", PICTURE_EDGE, p->y + 19, "time of this run");

	for (double t = (double)(uint64_t)(from / step) * step; t <= to; t += step) {
		char words[32];

		(void)snprintf(words, sizeof(words), step < 1 ? "%.1f s" : "%.0f s", t);
		if (t >= from)
			r |= put_tick(p, p->tl->begun + (uint64_t)(t * 1000), words);
	}
	p->y += 32;
	return r;
}

/* From the first mark on: what the profile's times are without the time scale. */
static int put_aws_time(struct picture *p)
{
	static const double nice[] = {0.25, 0.5, 1,   2,   5,	 10,   15,   30,
				      60,   120, 360, 720, 1440, 2880, 10080};
	const struct timeline *tl = p->tl;
	double whole, step;
	int r;

	if (tl->time_scale <= 1 || !tl->mark_count || tl->marks[0].t >= p->range.to)
		return 0;
	whole = (double)(p->range.to - tl->marks[0].t) * (double)tl->time_scale / 60000;
	step = tick_step(whole * (PICTURE_RIGHT - PICTURE_LEFT) /
				 (PICTURE_RIGHT - picture_x(p, tl->marks[0].t) + 1),
			 nice, sizeof(nice) / sizeof(*nice));
	r = markup_line(p->out, "rule",
			(struct markup_box){PICTURE_LEFT, p->y, PICTURE_RIGHT, p->y}) |
	    markup_words(p->out, "sub", "start", PICTURE_EDGE, p->y + 19, "AWS\xe2\x80\x99s time");
	for (double m = 0; m <= whole; m += step) {
		char words[32];

		if (step >= 1440)
			(void)snprintf(words, sizeof(words), "+%.0f d", m / 1440);
		else if (step >= 60)
			(void)snprintf(words, sizeof(words), "+%.0f h", m / 60);
		else if (step >= 1)
			(void)snprintf(words, sizeof(words), "+%.0f min", m);
		else
			(void)snprintf(words, sizeof(words), "+%.0f s", m * 60);
		r |= put_tick(p, tl->marks[0].t + (uint64_t)(m * 60000 / (double)tl->time_scale),
			      words);
	}
	p->y += 32;
	return r;
}

/* The words of the steps, in two columns, read downwards. */
static int put_words(struct picture *p)
{
	const struct timeline *tl = p->tl;
	size_t rows = (tl->step_count + 1) / 2;
	double column = (PICTURE_WIDTH - 2 * PICTURE_EDGE) / 2;
	int r = 0;

	p->y += 18;
	for (size_t i = 0; i < tl->step_count; i++) {
		double x = PICTURE_EDGE + BADGE + (double)(i / rows) * column;
		double y = p->y + (double)(i % rows) * STEP_ROW;
		char words[WORDS_MAX], cut[WORDS_MAX + 8];

		(void)snprintf(words, sizeof(words), "%.1f s " DOT " %s",
			       seconds(tl, tl->steps[i].t), tl->steps[i].text);
		(void)snprintf(cut, sizeof(cut), "%s", words);
		for (size_t n = strlen(words); markup_width(cut, 12.5) > column - 40 && n > 1;) {
			n -= 1;
			while (n > 1 && ((unsigned char)words[n] & 0xc0) == 0x80)
				n--; /* not in the middle of a character */
			(void)snprintf(cut, sizeof(cut), "%.*s\xe2\x80\xa6", (int)n, words);
		}
		r |= put_badge(p->out, x, y, i + 1) |
		     markup_words(p->out, "words", "start", x + 16, y + 4.5, cut);
	}
	p->y += (double)rows * STEP_ROW + 4;
	return r;
}

static int put_title(const struct timeline *tl, struct buf *out)
{
	char words[WORDS_MAX], times[64] = "real times";

	if (tl->time_scale > 1)
		(void)snprintf(times, sizeof(times), "times divided by %" PRIu64, tl->time_scale);
	(void)snprintf(words, sizeof(words), "%s " DOT " profile %s, %s " DOT " against %s",
		       tl->name, tl->profile, times,
		       strcmp(tl->against, "real-aws") == 0 ? "AWS KMS" : "kmsd");
	return markup_words(out, "title", "start", PICTURE_EDGE, TITLE_Y, tl->title) |
	       markup_words(out, "sub", "start", PICTURE_EDGE, TITLE_Y + 21, words);
}

static int put_frame(struct frame *f, double badges_y, const int rows[], const double badges[])
{
	struct picture *p = f->p;
	int r = picture_lanes(p);

	f->bottom = p->y;
	r |= put_marks(f, rows) | put_badges(f, badges, badges_y);
	return r | put_seconds(p) | put_aws_time(p) | put_words(p);
}

int timeline_svg(const struct timeline *tl, bool heading, struct buf *out)
{
	struct buf frame = {.max = out->max}, lanes = {.max = out->max};
	struct picture p = {.tl = tl, .range = timeline_range(tl), .out = &lanes};
	AUTO(freep) int *rows = calloc(tl->mark_count + 1, sizeof(*rows));
	AUTO(freep) double *badges = calloc(tl->step_count + 1, sizeof(*badges));
	struct frame f = {.p = &p, .out = &frame};
	double badges_y;
	int r;

	f.marks = heading ? MARKS_Y : MARKS_Y - HEADING;
	if (!rows || !badges)
		return -ENOMEM;
	badges_y = f.marks + mark_rows(&p, rows, tl->mark_count) * MARK_ROW + 2;
	place_badges(&p, badges);
	p.y = badges_y + BADGE + 24;
	f.top = p.y;
	r = put_frame(&f, badges_y, rows, badges);
	r |= buf_printf(out,
			"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tl\" viewBox=\"0 0 %.0f "
			"%.0f\" role=\"img\">\n"
			"<title>",
			PICTURE_WIDTH, p.y) |
	     markup_text(out, tl->title) |
	     buf_printf(out, "</title>\n<style>\n%s</style>\n", timeline_style_svg) |
	     markup_rect(out, "back", (struct markup_box){0, 0, PICTURE_WIDTH, p.y}, NULL);
	if (heading)
		r |= put_title(tl, out);
	if (frame.len)
		r |= buf_append(out, frame.bytes, frame.len);
	if (lanes.len)
		r |= buf_append(out, lanes.bytes, lanes.len);
	r |= buf_append(out, "</svg>\n", 7);
	buf_free(&frame);
	buf_free(&lanes);
	return r < 0 ? -EMSGSIZE : 0;
}
