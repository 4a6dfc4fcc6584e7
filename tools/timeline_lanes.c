/* Bands, curves, events and calls. See timeline_lanes.h. */
#include "timeline_lanes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "markup.h"
#include "secret.h"
#include "timeline_style.h"

#define BAND	   24.0
#define THIN	   15.0
#define GAP	   5.0
#define CHART	   64.0
#define SMOOTH	   5 /* samples: half a second */
#define POINTS_MAX 1600
#define LOG_LEAST  -1.0 /* 10^-1 ms */
#define EVENT_ROW  18.0
#define CALL_LINE  16.0
#define WORDS_MAX  256

double picture_x(const struct picture *p, uint64_t t)
{
	double part = ((double)t - (double)p->range.from) / (double)(p->range.to - p->range.from);

	part = part < 0 ? 0 : part > 1 ? 1 : part;
	return PICTURE_LEFT + part * (PICTURE_RIGHT - PICTURE_LEFT);
}

bool picture_shows(const struct picture *p, uint64_t t)
{
	return t >= p->range.from && t <= p->range.to;
}

int picture_row(double ends[PICTURE_ROWS], double from, double to)
{
	int row = 0;

	while (row < PICTURE_ROWS - 1 && ends[row] > from)
		row++;
	ends[row] = to;
	return row;
}

static int name(struct picture *p, const char *css, double y, const char *words)
{
	char cut[WORDS_MAX];
	size_t len = (size_t)snprintf(cut, sizeof(cut) - 4, "%s", words);

	if (len >= sizeof(cut) - 4)
		len = sizeof(cut) - 5;
	if (markup_width(cut, 12.5) > PICTURE_LEFT - PICTURE_EDGE - 8) {
		while (len && markup_width(cut, 12.5) > PICTURE_LEFT - PICTURE_EDGE - 20)
			cut[--len] = '\0';
		(void)strcat(cut, "\xe2\x80\xa6"); /* an ellipsis; there is room */
	}
	return markup_words(p->out, css, "start", PICTURE_EDGE, y, cut);
}

/* The longest of some ways to say it that fits; NULL: none does. */
static const char *fitting(const char *words, double width, double size)
{
	static const struct {
		const char *from, *to;
	} shorter[] = {
		{"inaccessible-encryption-credentials-recoverable", "inaccessible (recoverable)"},
		{"inaccessible (recoverable)", "inaccessible"},
		{"inaccessible-encryption-credentials", "inaccessible, for good"},
		{"inaccessible, for good", "for good"},
		{"waits: no result, no error", "waits"},
	};

	if (markup_width(words, size) + 6 <= width)
		return words;
	for (size_t i = 0; i < sizeof(shorter) / sizeof(*shorter); i++)
		if (strcmp(words, shorter[i].from) == 0)
			return fitting(shorter[i].to, width, size);
	return NULL;
}

struct band {
	uint64_t from, to;
	const char *css, *words;
	double height;
};

static int put_band(struct picture *p, const struct band *b)
{
	struct markup_box box = {picture_x(p, b->from), p->y, 0, b->height};
	double size = b->height < BAND ? 10.5 : 12;
	char title[WORDS_MAX + 64], css[32], on[48];
	const char *words;
	int r;

	if (b->to <= p->range.from || b->from >= p->range.to)
		return 0;
	box.w = picture_x(p, b->to) - box.x;
	if (box.w < 1.5)
		box.w = 1.5;
	(void)snprintf(title, sizeof(title), "%.200s, %.1f s", b->words,
		       (double)(b->to - b->from) / 1000);
	(void)snprintf(css, sizeof(css), "stretch %s", b->css);
	r = markup_rect(p->out, css, box, title);
	words = fitting(b->words, box.w, size);
	if (!words)
		return r;
	(void)snprintf(on, sizeof(on), "%s on-%s", b->height < BAND ? "thin" : "band", b->css);
	return r | markup_words(p->out, on, "middle", box.x + box.w / 2,
				p->y + b->height / 2 + size * 0.36, words);
}

static int put_track(struct picture *p, const struct timeline_track *track, const char *what)
{
	char words[WORDS_MAX];
	int r;

	(void)snprintf(words, sizeof(words), "%s %s", what, track->name); /* cut by name() anyway */
	r = name(p, "head", p->y + BAND / 2 + 4.5, words);
	for (size_t i = 0; i < track->count; i++) {
		const struct timeline_change *c = &track->changes[i];
		struct band b = {.from = c->t,
				 .to = i + 1 < track->count ? track->changes[i + 1].t : p->range.to,
				 .css = timeline_style_state(c->what),
				 .words = c->what,
				 .height = BAND};

		if (i == 0 && c->t > p->range.from && strcmp(c->what, "Enabled") == 0)
			b.from = c->t; /* the key is made within the picture */
		r |= put_band(p, &b);
	}
	p->y += BAND + GAP;
	return r;
}

static int put_who(struct picture *p, const struct timeline_volume *v, enum timeline_who who)
{
	static const char *const labels[] = {"reader", "writer", "client"};
	static const char *const words[] = {"", "served", "waits: no result, no error", "errors",
					    "not mounted"};
	AUTO(freep) struct timeline_span *spans = NULL;
	int r, n = timeline_spans(v, who, &spans);

	if (n <= 0)
		return n;
	r = name(p, "sub", p->y + THIN / 2 + 4, labels[who]);
	for (int i = 0; i < n; i++)
		if (spans[i].io != TIMELINE_IDLE) {
			struct band b = {.from = spans[i].from,
					 .to = spans[i].to,
					 .css = timeline_style_io(spans[i].io),
					 .words = words[spans[i].io],
					 .height = THIN};

			r |= put_band(p, &b);
		}
	p->y += THIN + 3;
	return r;
}

/* A curve over the samples of a volume: y from 0 (bottom) to 1, below 0 for no point. */
struct curve {
	const char *css;
	double (*value)(const struct timeline_volume *v, size_t i, int which, double most);
	int which;
	double most;
	bool area;
};

static int put_curve(struct picture *p, const struct timeline_volume *v, const struct curve *c)
{
	size_t stride = v->sample_count / POINTS_MAX + 1;
	double bottom = p->y + CHART, first = -1, last = -1;
	int r = buf_printf(p->out, "<path class=\"%s %s\" d=\"", c->area ? "area" : "line", c->css);

	for (size_t i = 0; i < v->sample_count; i += stride) {
		double h = c->value(v, i, c->which, c->most), x = picture_x(p, v->samples[i].t);

		if (h < 0) {
			last = -1;
			continue;
		}
		if (c->area && first < 0)
			r |= buf_printf(p->out, "M%.1f %.1f", x, bottom);
		r |= buf_printf(p->out, "%c%.1f %.1f", last < 0 && !c->area ? 'M' : 'L', x,
				bottom - (h > 1 ? 1 : h) * (CHART - 4));
		last = x;
		if (first < 0)
			first = x;
	}
	if (c->area && first >= 0)
		r |= buf_printf(p->out, "L%.1f %.1fZ", last, bottom);
	return r | buf_printf(p->out, "\"/>\n");
}

/* Per second, over half a second. */
static double rate(const struct timeline_volume *v, size_t i, int which)
{
	size_t from = i >= SMOOTH ? i - SMOOTH : 0;
	double sum = 0, ms = (double)(v->samples[i].t - v->samples[from].t);

	for (size_t k = from + 1; k <= i; k++)
		sum += which == TIMELINE_READER ? v->samples[k].reads : v->samples[k].writes;
	return ms > 0 ? sum * 1000 / ms : 0;
}

static double rate_height(const struct timeline_volume *v, size_t i, int which, double most)
{
	return rate(v, i, which) / most;
}

static double latency_height(const struct timeline_volume *v, size_t i, int which, double most)
{
	const struct timeline_sample *s = &v->samples[i];

	if (s->io[which] == TIMELINE_GONE || s->ms[which] <= 0)
		return -1;
	return fmax(0, (log10(s->ms[which]) - LOG_LEAST) / (most - LOG_LEAST));
}

/* 1, 2 or 5 times a power of ten, not below @v. */
static double round_up(double v)
{
	double power = pow(10, floor(log10(v))), part = v / power;

	return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static int put_panel(struct picture *p, const char *head, const char *reads, const char *writes)
{
	struct markup_box box = {PICTURE_LEFT, p->y, PICTURE_RIGHT - PICTURE_LEFT, CHART};

	return markup_rect(p->out, "panel", box, NULL) | name(p, "sub", p->y + 14, head) |
	       name(p, "t-reads small", p->y + 33, reads) |
	       name(p, "t-writes small", p->y + 51, writes);
}

/* A line across at the height @part, and what it means. */
static int put_level(struct picture *p, double part, const char *words)
{
	double y = p->y + CHART - part * (CHART - 4);

	return markup_line(p->out, "grid", (struct markup_box){PICTURE_LEFT, y, PICTURE_RIGHT, y}) |
	       markup_words(p->out, "right", "start", PICTURE_RIGHT + 6, y + 4, words);
}

static int put_rates(struct picture *p, const struct timeline_volume *v)
{
	double most = 10;
	char words[32];
	int r;

	for (size_t i = 0; i < v->sample_count; i++)
		most = fmax(most, fmax(rate(v, i, TIMELINE_READER), rate(v, i, TIMELINE_WRITER)));
	most = round_up(most);
	(void)snprintf(words, sizeof(words), "%.0f/s", most);
	r = put_panel(p, "I/O of the volume", "reads/s", "writes/s") | put_level(p, 1, words) |
	    put_level(p, 0.02, "0");
	for (int who = TIMELINE_READER; who <= TIMELINE_WRITER; who++) {
		struct curve c = {.css = who == TIMELINE_READER ? "reads" : "writes",
				  .value = rate_height,
				  .which = who,
				  .most = most,
				  .area = true};

		r |= put_curve(p, v, &c);
		c.area = false;
		r |= put_curve(p, v, &c);
	}
	p->y += CHART + 2 * GAP;
	return r;
}

static int put_latency(struct picture *p, const struct timeline_volume *v)
{
	static const char *const words[] = {"1 ms", "10 ms", "100 ms", "1 s",
					    "10 s", "100 s", "1000 s"};
	double most = 4;
	int r;

	for (size_t i = 0; i < v->sample_count; i++)
		for (int who = TIMELINE_READER; who <= TIMELINE_WRITER; who++)
			if (v->samples[i].ms[who] > 0)
				most = fmax(most, log10(v->samples[i].ms[who]));
	most = fmin(ceil(most), 6);
	r = put_panel(p, "Latency", "of the reader", "of the writer");
	for (int e = most > 4 ? 1 : 0; e <= (int)most; e += 2)
		r |= put_level(p, (e - LOG_LEAST) / (most - LOG_LEAST), words[e]);
	for (int who = TIMELINE_READER; who <= TIMELINE_WRITER; who++)
		r |= put_curve(p, v,
			       &(struct curve){.css = who == TIMELINE_READER ? "reads" : "writes",
					       .value = latency_height,
					       .which = who,
					       .most = most});
	p->y += CHART + GAP;
	return r;
}

static int put_events(struct picture *p, const struct timeline_volume *v)
{
	double ends[PICTURE_ROWS] = {0};
	int r = 0, rows = 0;

	for (size_t i = 0; i < v->event_count; i++) {
		const struct timeline_event *e = &v->events[i];
		double x = picture_x(p, e->t), width = markup_width(e->id, 11.5) + 12;
		bool left = x + width > PICTURE_WIDTH - 4;
		int row;

		if (!picture_shows(p, e->t))
			continue;
		row = picture_row(ends, left ? x - width : x - 4, left ? x + 6 : x + width);
		double y = p->y + row * EVENT_ROW;
		r |= buf_printf(p->out, "<path class=\"flag\" d=\"M%.1f %.1fl5 9h-10z\"><title>", x,
				y + 3) |
		     markup_text(p->out, e->text) | buf_printf(p->out, "</title></path>\n") |
		     markup_words(p->out, "small event", left ? "end" : "start",
				  left ? x - 8 : x + 8, y + 12, e->id);
		rows = row + 1 > rows ? row + 1 : rows;
	}
	if (rows) {
		r |= name(p, "sub", p->y + 12, "events");
		p->y += rows * EVENT_ROW + GAP;
	}
	return r;
}

static int put_volume(struct picture *p, const struct timeline_volume *v)
{
	int r = put_track(p, &v->states, "Volume");

	for (enum timeline_who who = TIMELINE_READER; who < TIMELINE_WHO; who++) {
		int n = put_who(p, v, who);

		r |= n < 0 ? n : 0;
	}
	if (v->sample_count) {
		p->y += 2;
		r |= put_rates(p, v) | put_latency(p, v);
	}
	r |= put_events(p, v);
	p->y += 8;
	return r;
}

static int put_calls(struct picture *p, bool by_user)
{
	double last_x = -10;
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < p->tl->call_count; i++) {
		const struct timeline_call *c = &p->tl->calls[i];
		double x = picture_x(p, c->t);
		char title[WORDS_MAX];

		if (c->by_user != by_user || !picture_shows(p, c->t) ||
		    (x - last_x < 0.4 && !*c->error))
			continue;
		any = true;
		last_x = x;
		(void)snprintf(title, sizeof(title), "%s%s%s", c->op, *c->error ? ": " : "",
			       c->error);
		r |= markup_rect(p->out, *c->error ? "call failed" : "call",
				 (struct markup_box){x - 1, p->y + (*c->error ? 1 : 4), 2.2,
						     *c->error ? 13 : 8},
				 title);
	}
	if (any) {
		r |= name(p, "sub", p->y + 12, by_user ? "of people" : "of the volumes");
		p->y += CALL_LINE;
	}
	return r;
}

int picture_lanes(struct picture *p)
{
	int r = 0;

	for (size_t i = 0; i < p->tl->key_count; i++)
		r |= put_track(p, &p->tl->keys[i], "KMS key");
	p->y += 6;
	for (size_t i = 0; i < p->tl->volume_count; i++)
		r |= put_volume(p, &p->tl->volumes[i]);
	if (p->tl->call_count) {
		r |= name(p, "head", p->y + 12, "KMS calls");
		r |= markup_words(p->out, "small sub", "start", PICTURE_LEFT, p->y + 12,
				  "a short green tick each; refused or failed: a long red one");
		p->y += CALL_LINE + 4;
		r |= put_calls(p, false) | put_calls(p, true);
		p->y += GAP;
	}
	return r;
}
