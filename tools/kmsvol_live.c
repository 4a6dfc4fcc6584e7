/*
 * kmsvol status --watch: the status asked for again and again, as a screen, or as lines where there is
 * no terminal. The screen is made of whole lines cut to the terminal's width, so it holds in 80 columns
 * and 24 rows and uses no more of a larger one. Sequences are those of ECMA-48.
 */
#include "kmsvol_live.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "clock.h"
#include "err.h"
#include "jsontime.h"
#include "kms_json.h"
#include "kmsvol_cmd.h"
#include "kmsvol_interrupt.h"
#include "kmsvol_status.h"
#include "secret.h"
#include "units.h"

#define SCREEN_MS	500
#define LINE_MS		1000
#define HISTORY_SECONDS 300 /* of the curves, at most; a column a step */
#define HISTORY		(HISTORY_SECONDS * 1000 / SCREEN_MS)
#define SCREEN_MAX	(64 * 1024)
#define LABEL_WIDTH	10

/* What happened between two looks, per second. */
struct rates {
	double reads, writes, read_bytes, written_bytes, flushes, errors;
};

struct live {
	const struct place *place;
	bool colour, utf8;
	unsigned columns, rows;
	struct kms_json *before; /* the last look */
	uint64_t before_ms;
	struct rates rates;
	float reads[HISTORY], writes[HISTORY]; /* rings */
	unsigned steps;
	struct buf screen;
};

static const char *str(const struct kms_json *s, const char *name)
{
	const char *text = "";
	struct err ignored;

	if (kms_json_type(kms_json_get(s, name)) == KMS_JSON_STRING)
		(void)kms_json_str(s, name, &text, &ignored); /* it is one */
	return text;
}

static uint64_t num(const struct kms_json *s, const char *name)
{
	uint64_t v = 0;
	struct err ignored;

	if (kms_json_type(kms_json_get(s, name)) == KMS_JSON_INT)
		(void)kms_json_u64(s, name, &v, &ignored); /* else it stays 0 */
	return v;
}

static uint64_t when(const struct kms_json *s, const char *name)
{
	uint64_t ms = 0;
	struct err ignored;

	if (kms_json_has(s, name))
		(void)jsontime_get(s, name, &ms, &ignored); /* else it stays 0 */
	return ms;
}

static double per_second(const struct live *l, const struct kms_json *now, const char *name,
			 uint64_t ms)
{
	uint64_t a = num(l->before, name), b = num(now, name);

	return l->before && ms && b >= a ? (double)(b - a) * 1000 / (double)ms : 0;
}

/* Take @status (owned from here on) as the newest look. */
static void look(struct live *l, struct kms_json *status)
{
	uint64_t now = clock_monotonic_ms(), ms = now - l->before_ms;

	l->rates = (struct rates){
		.reads = per_second(l, status, "reads", ms),
		.writes = per_second(l, status, "writes", ms),
		.read_bytes = per_second(l, status, "read_bytes", ms),
		.written_bytes = per_second(l, status, "written_bytes", ms),
		.flushes = per_second(l, status, "flushes", ms),
		.errors = per_second(l, status, "errors", ms),
	};
	l->reads[l->steps % HISTORY] = (float)l->rates.reads;
	l->writes[l->steps % HISTORY] = (float)l->rates.writes;
	l->steps++;
	kms_json_free(l->before);
	l->before = status;
	l->before_ms = now;
}

/* "9m 28s" */
static void duration(uint64_t ms, char ret_text[32])
{
	uint64_t s = ms / 1000;

	if (s < 60)
		(void)snprintf(ret_text, 32, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 3600)
		(void)snprintf(ret_text, 32, "%" PRIu64 "m %02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(ret_text, 32, "%" PRIu64 "h %02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		(void)snprintf(ret_text, 32, "%" PRIu64 "d %02" PRIu64 "h", s / 86400,
			       s / 3600 % 24);
}

/* "in 0.4s", "0.2s ago", "-" */
static void distance(uint64_t wall_ms, char ret_text[48])
{
	uint64_t now = clock_wall_ms();
	char text[32];

	if (wall_ms == 0) {
		(void)snprintf(ret_text, 48, "-");
		return;
	}
	duration(wall_ms > now ? wall_ms - now : now - wall_ms, text);
	(void)snprintf(ret_text, 48, wall_ms > now ? "in %s" : "%s ago", text);
}

/* Where the text in @bytes would pass @columns, a multi-byte character counting as one. */
static size_t fit(const char *bytes, size_t len, unsigned columns)
{
	unsigned width = 0;
	size_t i = 0;

	while (i < len) {
		if (((uint8_t)bytes[i] & 0xc0) != 0x80 && width++ == columns)
			break;
		i++;
	}
	return i;
}

/* One row: a label and what is behind it, cut to the width; @colour NULL: none. */
static void row(struct live *l, const char *label, const char *colour, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void row(struct live *l, const char *label, const char *colour, const char *fmt, ...)
{
	unsigned room = l->columns > LABEL_WIDTH ? l->columns - LABEL_WIDTH : 1;
	AUTO(freep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	for (char *p = text; p && *p; p++)
		if ((uint8_t)*p < ' ' || *p == 0x7f)
			*p = ' '; /* a sentence from outside steers no terminal */
	colour = l->colour ? colour : NULL;
	(void)buf_printf(&l->screen, "%-*s%s%.*s%s\033[K\r\n", LABEL_WIDTH, label,
			 colour ? colour : "", text ? (int)fit(text, strlen(text), room) : 0,
			 text ? text : "", colour ? "\033[0m" : ""); /* a full buffer is cut */
}

static const char *state_colour(const char *state)
{
	if (strcmp(state, "available") == 0)
		return "\033[1;32m";
	if (strcmp(state, "warned") == 0 || strcmp(state, "starting") == 0 ||
	    strcmp(state, "read-only") == 0)
		return "\033[1;33m";
	return "\033[1;31m";
}

/* The newest steps of a ring as a curve that is as wide as the screen allows. */
static void curve(struct live *l, const char *label, const float ring[HISTORY], double now,
		  double bytes)
{
	static const char *const bars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char ascii[] = " .:-=+*#@";
	unsigned room = l->columns > LABEL_WIDTH + 28 ? l->columns - LABEL_WIDTH - 28 : 0;
	unsigned n = l->steps < HISTORY ? l->steps : HISTORY;
	char text[4 * HISTORY + 1] = "";
	size_t at = 0;
	float top = 1;

	n = n < room ? n : room;
	for (unsigned i = 0; i < n; i++)
		if (ring[(l->steps - n + i) % HISTORY] > top)
			top = ring[(l->steps - n + i) % HISTORY];
	for (unsigned i = 0; i < n; i++) {
		float v = ring[(l->steps - n + i) % HISTORY];
		unsigned level = v > 0 ? 1 + (unsigned)(v / top * 7.0f) : 0;

		if (l->utf8)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", bars[level]);
		else
			text[at++] = ascii[level];
	}
	text[at] = '\0';
	row(l, label, NULL, "%9.0f/s %9.1f MiB/s  %s", now, bytes / (1 << 20), text);
}

static void draw_key(struct live *l)
{
	const struct kms_json *s = l->before, *e = kms_json_get(s, "kms_error");
	char next[48], last[48], end[48], interval[UNITS_TEXT_MAX];
	bool watched = strcmp(str(s, "on_key_loss"), "none") != 0;

	distance(when(s, "next_check"), next);
	distance(when(s, "last_check"), last);
	distance(when(s, "terminal_at"), end);
	units_format_duration(num(s, "check_interval_ms"), interval);
	row(l, "key", NULL, "%s", str(s, "key_arn"));
	row(l, "profile", NULL, "%s, %" PRIu64 " times as fast; without the key: %s",
	    str(s, "profile"), num(s, "time_scale"), watched ? str(s, "on_key_loss") : "goes on");
	row(l, "check", NULL, "next %s, every %s; last %s: %s; %" PRIu64 " KMS calls", next,
	    watched ? interval : "mount", last, str(s, "last_check_result"), num(s, "kms_calls"));
	row(l, "deadline", NULL, "given up %s", end);
	if (kms_json_type(e) == KMS_JSON_OBJECT)
		row(l, "KMS error", "\033[31m", "%s%s%s (%s)", str(e, "code"),
		    *str(e, "code") ? ": " : "", str(e, "message"), str(e, "fault"));
	else
		row(l, "KMS error", NULL, "-");
}

/* What EC2 would say of the volume, and what is injected into it. */
static void draw_faults(struct live *l)
{
	const struct kms_json *s = l->before;
	const char *status = str(s, "volume_status"), *injected = str(s, "injected");
	uint64_t until = when(s, "io_paused_until");
	char end[48];

	distance(until, end);
	row(l, "EC2", strcmp(status, "ok") == 0 ? NULL : "\033[1;33m",
	    "volume %s, I/O %s, %s, VolumeStalledIOCheck %" PRIu64, status, str(s, "io_enabled"),
	    str(s, "io_performance"), num(s, "stalled_io_check"));
	if (until)
		row(l, "injected", "\033[1;33m", "paused, ends %s; %s", end, injected);
	else
		row(l, "injected", *injected ? "\033[1;33m" : NULL, "%s",
		    *injected ? injected : "-");
}

static void draw_store(struct live *l)
{
	const struct kms_json *s = l->before;

	row(l, "waiting",
	    num(s, "waiting_requests") + num(s, "delayed_requests") ? "\033[1;33m" : NULL,
	    "%" PRIu64 " requests, %" PRIu64 " KiB; %" PRIu64 " delayed",
	    num(s, "waiting_requests"), num(s, "waiting_bytes") / 1024, num(s, "delayed_requests"));
	curve(l, "reads", l->reads, l->rates.reads, l->rates.read_bytes);
	curve(l, "writes", l->writes, l->rates.writes, l->rates.written_bytes);
	row(l, "other", l->rates.errors > 0 ? "\033[31m" : NULL,
	    "%.0f flushes/s, %.0f errors/s; %" PRIu64 " errors since the mount", l->rates.flushes,
	    l->rates.errors, num(s, "errors"));
	row(l, "store", NULL, "%" PRIu64 " of %" PRIu64 " MiB in use, %" PRIu64 " MiB on disk",
	    num(s, "mapped_bytes") >> 20, num(s, "size_bytes") >> 20, num(s, "log_bytes") >> 20);
}

static void draw(struct live *l)
{
	const struct kms_json *s = l->before;
	const char *state = str(s, "state");
	char now[CLOCK_ISO_LEN], since[48];
	uint64_t from = when(s, "state_since");

	l->screen.len = 0;
	clock_iso(clock_wall_ms(), now);
	(void)buf_printf(&l->screen, "\033[H"); /* a full buffer is cut */
	row(l, "kmsvol", l->colour ? "\033[1m" : NULL, "%s  %.19sZ  q: leave", str(s, "volume_id"),
	    now);
	row(l, "volume", NULL, "%s", str(s, "volume_dir"));
	row(l, "state", state_colour(state), "%s", state);
	if (from)
		distance(from, since);
	else
		(void)snprintf(since, sizeof(since), "-");
	row(l, "since", NULL, "%.19s  %s", str(s, "state_since"), since);
	row(l, "reason", NULL, "%s", *str(s, "reason") ? str(s, "reason") : "-");
	if (kms_json_has(s, "pid")) {
		draw_key(l);
		draw_faults(l);
		draw_store(l);
	} else {
		row(l, "", NULL, "no daemon serves it");
	}
	(void)buf_printf(&l->screen, "\033[J");
}

/* What a log or a script wants: no sequences, one line a look. */
static void print_line(const struct live *l)
{
	const struct kms_json *s = l->before;
	char now[CLOCK_ISO_LEN];

	clock_iso(clock_wall_ms(), now);
	printf("%s %s waiting=%" PRIu64 " reads/s=%.0f writes/s=%.0f read-MiB/s=%.1f "
	       "written-MiB/s=%.1f last-check=%s kms-error=%s volume-status=%s injected=%s\n",
	       now, str(s, "state"), num(s, "waiting_requests"), l->rates.reads, l->rates.writes,
	       l->rates.read_bytes / (1 << 20), l->rates.written_bytes / (1 << 20),
	       *str(s, "last_check_result") ? str(s, "last_check_result") : "-",
	       kms_json_type(kms_json_get(s, "kms_error")) == KMS_JSON_OBJECT
		       ? str(kms_json_get(s, "kms_error"), "code")
		       : "-",
	       *str(s, "volume_status") ? str(s, "volume_status") : "-",
	       *str(s, "injected") ? str(s, "injected") : "-");
}

static void measure(struct live *l)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		size.ws_col = 80, size.ws_row = 24;
	l->columns = size.ws_col;
	l->rows = size.ws_row;
}

/* Cut what has more rows than the terminal, and write it in one go. */
static int put_screen(struct live *l)
{
	char *text = (char *)l->screen.bytes, *end = text;

	if (!text)
		return 0;
	for (unsigned i = 0; i + 1 < l->rows; i++) {
		char *next = strstr(end, "\r\n");

		if (!next)
			return fputs(text, stdout) == EOF ? -EIO : 0;
		end = next + 2;
	}
	return fwrite(text, 1, (size_t)(end - text), stdout) == (size_t)(end - text) ? 0 : -EIO;
}

/* Wait for the next look; true: the user wants to leave. */
static bool pause_or_key(const struct interrupt *in, bool keys, int ms)
{
	struct pollfd fd = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
	uint64_t end = clock_monotonic_ms() + (uint64_t)ms;
	char c;

	while (!atomic_load(&in->stop) && clock_monotonic_ms() < end) {
		if (poll(&fd, 1, 50) > 0 && (read(STDIN_FILENO, &c, 1) != 1 || c == 'q'))
			return true;
	}
	return atomic_load(&in->stop);
}

static int show(struct live *l, bool screen, bool as_json)
{
	int r = 0;

	if (screen) {
		measure(l);
		draw(l);
		r = put_screen(l);
	} else if (as_json) {
		AUTO(freep) char *text = kms_json_text(l->before);

		r = !text || printf("%s\n", text) < 0 ? -EIO : 0;
	} else {
		print_line(l);
	}
	return fflush(stdout) != 0 ? -errno : r;
}

static int loop(struct live *l, struct interrupt *in, bool screen, bool as_json, struct err *err)
{
	bool keys = screen && isatty(STDIN_FILENO);
	int r;

	do {
		struct kms_json *status = NULL;

		r = status_get(l->place, &status, err);
		if (r < 0)
			return r;
		look(l, status);
		r = show(l, screen, as_json);
		if (r < 0)
			return err_set(err, -r, "standard output: %s", strerror(-r));
	} while (!pause_or_key(in, keys, screen ? SCREEN_MS : LINE_MS));
	return 0;
}

/* A locale whose characters are UTF-8: LC_ALL, then LC_CTYPE, then LANG counts. */
static bool locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *v = getenv(names[i]);

		if (v && *v)
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

int live_run(const struct place *place, bool as_json)
{
	const char *term = getenv("TERM");
	bool screen = !as_json && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
	struct live l = {.place = place, .utf8 = locale_is_utf8(), .screen = {.max = SCREEN_MAX}};
	struct termios saved, raw;
	struct interrupt in;
	bool changed = false;
	struct err err;
	int r, sig;

	l.colour = screen && !getenv("NO_COLOR");
	interrupt_begin(&in, NULL);
	if (screen && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved) == 0) {
		raw = saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		changed = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	if (screen)
		fputs("\033[?1049h\033[?25l", stdout); /* the other screen, no cursor */
	r = loop(&l, &in, screen, as_json, &err);
	if (screen)
		fputs("\033[?25h\033[?1049l", stdout);
	(void)fflush(stdout); /* loop() has said what is wrong with it */
	if (changed)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved); /* the terminal may be gone */
	kms_json_free(l.before);
	buf_free(&l.screen);
	sig = interrupt_end(&in);
	if (sig && sig != SIGINT) /* Ctrl-C is one of the two ways to leave */
		interrupt_die(sig);
	return r < 0 ? cmd_fail(&err) : CMD_DONE;
}
