/* The page. See timeline_html.h. */
#include "timeline_html.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "clock.h"
#include "markup.h"
#include "timeline.h"
#include "timeline_style.h"
#include "timeline_svg.h"

#define OPS_MAX 64 /* different operations in the table of calls */

static int put(struct buf *out, const char *html)
{
	return buf_append(out, html, strlen(html));
}

/* <tag class="css">text</tag> */
static int put_element(struct buf *out, const char *tag, const char *css, const char *text)
{
	return buf_printf(out, "<%s%s%s%s>", tag, *css ? " class=\"" : "", css, *css ? "\"" : "") |
	       markup_text(out, text) | buf_printf(out, "</%s>", tag);
}

static int put_time(struct buf *out, const struct timeline *tl, uint64_t t)
{
	char words[32];

	(void)snprintf(words, sizeof(words), "%.1f s",
		       t > tl->begun ? (double)(t - tl->begun) / 1000 : 0);
	return put_element(out, "td", "t", words);
}

static size_t count_checks(const struct timeline *tl, enum timeline_result result)
{
	size_t n = 0;

	for (size_t i = 0; i < tl->check_count; i++)
		n += tl->checks[i].result == result;
	return n;
}

static int put_verdict(struct buf *out, const struct timeline *tl)
{
	bool good = strcmp(tl->verdict, "as-expected") == 0;
	size_t failed = count_checks(tl, TIMELINE_FAIL), passed = count_checks(tl, TIMELINE_PASS);
	char words[160];

	if (good)
		(void)snprintf(words, sizeof(words), "As expected: %zu of %zu checks", passed,
			       passed);
	else if (strcmp(tl->verdict, "not-as-expected") == 0)
		(void)snprintf(words, sizeof(words), "Not as expected: %zu of %zu checks failed",
			       failed, failed + passed);
	else
		(void)snprintf(words, sizeof(words), "Could not be run to its end");
	return put(out, "<p>") |
	       put_element(out, "span", good ? "verdict yes" : "verdict no", words) |
	       put(out, "</p>\n");
}

static int put_fact(struct buf *out, const char *name, const char *value)
{
	return put(out, "<div>") | put_element(out, "dt", "", name) |
	       put_element(out, "dd", "", value) | put(out, "</div>\n");
}

static int put_facts(struct buf *out, const struct timeline *tl)
{
	char iso[CLOCK_ISO_LEN], words[96];
	int r;

	clock_iso(tl->begun, iso);
	r = put(out, "<dl>\n") | put_fact(out, "Scenario", tl->name) | put_fact(out, "Begun", iso);
	(void)snprintf(words, sizeof(words), "%.0f s", (double)(tl->ended - tl->begun) / 1000);
	r |= put_fact(out, "Took", words) | put_fact(out, "Profile", tl->profile);
	(void)snprintf(words, sizeof(words), "%" PRIu64 "%s", tl->time_scale,
		       tl->time_scale > 1 ? " (the profile\xe2\x80\x99s times are divided by it)"
					  : "");
	r |= put_fact(out, "Time scale", words) |
	     put_fact(out, "KMS",
		      strcmp(tl->against, "real-aws") == 0 ? "AWS" : "kmsd, on this machine") |
	     put_fact(out, "Software", tl->version);
	for (size_t i = 0; i < tl->key_count; i++) {
		(void)snprintf(words, sizeof(words), "KMS key %.60s", tl->keys[i].name);
		r |= put_fact(out, words, tl->keys[i].id ? tl->keys[i].id : "");
	}
	for (size_t i = 0; i < tl->volume_count; i++) {
		(void)snprintf(words, sizeof(words), "Volume %.60s", tl->volumes[i].states.name);
		r |= put_fact(out, words, tl->volumes[i].states.id ? tl->volumes[i].states.id : "");
	}
	return r | put(out, "</dl>\n");
}

static int put_check(struct buf *out, const struct timeline *tl, const struct timeline_check *c)
{
	static const char *const words[] = {"as expected", "not as expected", "not possible"};
	static const char *const css[] = {"pass", "fail", "dim"};

	return put(out, "<tr>") | put_time(out, tl, c->t) |
	       put_element(out, "td", css[c->result], words[c->result]) |
	       put_element(out, "td", "", c->claim) | put_element(out, "td", "", c->got) |
	       put_element(out, "td", "dim", c->wanted) | put(out, "</tr>\n");
}

/* What was typed in a step, folded away. */
static int put_commands(struct buf *out, const struct timeline *tl, size_t step)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < tl->note_count; i++) {
		const struct timeline_note *n = &tl->notes[i];

		if (n->step != step)
			continue;
		if (!n->output) {
			r |= put(out, "<tr><td></td><td></td>") | put(out, "<td colspan=\"3\">") |
			     markup_text(out, n->text) | put(out, "</td></tr>\n");
			continue;
		}
		if (!any)
			r |= put(out, "<tr><td></td><td "
				      "colspan=\"4\"><details><summary>commands</summary><pre>");
		any = true;
		r |= put(out, "$ ") | markup_text(out, n->text) | put(out, "\n") |
		     markup_text(out, n->output) | put(out, *n->output ? "\n" : "");
		if (strcmp(n->code, "0") != 0)
			r |= put(out, "(exit code ") | markup_text(out, n->code) | put(out, ")\n");
	}
	return any ? r | put(out, "</pre></details></td></tr>\n") : r;
}

static int put_steps(struct buf *out, const struct timeline *tl)
{
	int r = put(out, "<h2>Step by step</h2>\n<table "
			 "class=\"steps\">\n<colgroup><col style=\"width:76px\"><col "
			 "style=\"width:150px\"><col "
			 "style=\"width:36%\"><col><col></colgroup>\n<tr><th>Time</th><th>Result</"
			 "th><th>What was "
			 "expected to hold</th><th>Seen</th><th>Expected</th></tr>\n");

	for (size_t s = 0; s < tl->step_count; s++) {
		char number[32];

		(void)snprintf(number, sizeof(number), "%zu. ", s + 1);
		r |= put(out, "<tr class=\"head\">") | put_time(out, tl, tl->steps[s].t) |
		     put(out, "<td colspan=\"4\">") | put(out, number) |
		     markup_text(out, tl->steps[s].text) | put(out, "</td></tr>\n");
		for (size_t i = 0; i < tl->check_count; i++)
			if (tl->checks[i].step == s)
				r |= put_check(out, tl, &tl->checks[i]);
		r |= put_commands(out, tl, s);
	}
	return r | put(out, "</table>\n");
}

static int put_events(struct buf *out, const struct timeline *tl)
{
	bool any = false;
	int r = 0;

	for (size_t v = 0; v < tl->volume_count; v++)
		for (size_t i = 0; i < tl->volumes[v].event_count; i++) {
			const struct timeline_event *e = &tl->volumes[v].events[i];

			if (!any)
				r |= put(out, "<h2>Events</h2>\n<table>\n<tr><th>Time</"
					      "th><th>Volume</th><th>"
					      "Event</th><th>Text</th></tr>\n");
			any = true;
			r |= put(out, "<tr>") | put_time(out, tl, e->t) |
			     put_element(out, "td", "", tl->volumes[v].states.name) |
			     put_element(out, "td", "", e->id) |
			     put_element(out, "td", "", e->text) | put(out, "</tr>\n");
		}
	return any ? r | put(out, "</table>\n") : r;
}

struct op {
	const char *name, *error;
	bool by_user;
	size_t count;
};

static size_t sum_calls(const struct timeline *tl, struct op ops[OPS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < tl->call_count; i++) {
		const struct timeline_call *c = &tl->calls[i];
		size_t k = 0;

		while (k < n &&
		       (strcmp(ops[k].name, c->op) != 0 || strcmp(ops[k].error, c->error) != 0 ||
			ops[k].by_user != c->by_user))
			k++;
		if (k == OPS_MAX)
			continue;
		if (k == n)
			ops[n++] = (struct op){
				.name = c->op, .error = c->error, .by_user = c->by_user};
		ops[k].count++;
	}
	return n;
}

static int put_calls(struct buf *out, const struct timeline *tl)
{
	struct op ops[OPS_MAX];
	size_t n = sum_calls(tl, ops);
	int r;

	if (!n)
		return 0;
	r = put(out, "<h2>Calls of "
		     "KMS</h2>\n<table>\n<tr><th>By</th><th>Operation</th><th>Answer</th><th>How "
		     "often</th></tr>\n");
	for (size_t i = 0; i < n; i++) {
		char count[32];

		(void)snprintf(count, sizeof(count), "%zu", ops[i].count);
		r |= put(out, "<tr>") |
		     put_element(out, "td", "", ops[i].by_user ? "people" : "the volumes") |
		     put_element(out, "td", "", ops[i].name) |
		     put_element(out, "td", *ops[i].error ? "fail" : "pass",
				 *ops[i].error ? ops[i].error : "ok") |
		     put_element(out, "td", "n", count) | put(out, "</tr>\n");
	}
	return r | put(out, "</table>\n");
}

static int put_how(struct buf *out)
{
	return put(out, "<h2>How this was measured</h2>\n<p class=\"dim\">A reader and a writer "
			"each work on one block after "
			"the other, directly, the writer with fdatasync; a client, where there is "
			"one, connects anew each time. "
			"Ten times a second it is noted whether they were served, got errors, or "
			"have been waiting for more "
			"than a second. The reader compares what it reads with what the "
			"writer was told is durable. "
			"Reads and writes per second are those of the whole volume, averaged over "
			"half a second. Each KMS call "
			"is one record in the audit trail of kmsd; states and events are those of "
			"the volume\xe2\x80\x99s own "
			"diary. The data are beside this page, in <code>data/</code>; "
			"<code>report.json</code> has the same as numbers.</p>\n");
}

int timeline_html(const struct timeline *tl, struct buf *out)
{
	int r = put(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta "
			 "charset=\"utf-8\">\n<meta name=\"viewport\" "
			 "content=\"width=device-width, initial-scale=1\">\n<meta "
			 "name=\"color-scheme\" content=\"light "
			 "dark\">\n<title>") |
		markup_text(out, tl->title) | put(out, "</title>\n<style>\n") |
		put(out, timeline_style_page) | put(out, "</style>\n</head>\n<body>\n") |
		put_element(out, "h1", "", tl->title) | put_verdict(out, tl) |
		put_element(out, "p", "", tl->about) | put_facts(out, tl) | put(out, "<figure>\n") |
		timeline_svg(tl, false, out) | put(out, "</figure>\n") | put_steps(out, tl) |
		put_events(out, tl) | put_calls(out, tl) | put_how(out) |
		put(out, "</body>\n</html>\n");

	return r < 0 ? -EMSGSIZE : 0;
}
