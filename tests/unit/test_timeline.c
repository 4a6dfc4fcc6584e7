/* Records of a run into values, and these into a picture, a page and JSON. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bytes.h"
#include "err.h"
#include "kms_json.h"
#include "markup.h"
#include "timeline.h"
#include "timeline_html.h"
#include "timeline_json.h"
#include "timeline_lanes.h"
#include "timeline_load.h"
#include "timeline_style.h"
#include "timeline_svg.h"

#define T0   1767225600000ULL
#define ROOM (1024 * 1024)

static void load(struct timeline *tl, enum timeline_record record, const char *volume,
		 const char *line)
{
	struct err err;

	if (timeline_load(tl, record, volume, line, strlen(line), &err) < 0)
		fail_msg("%s: %s", line, err.msg);
}

static void load_at(struct timeline *tl, enum timeline_record record, uint64_t ms, const char *rest)
{
	char line[1024];

	(void)snprintf(line, sizeof(line), "{\"t\":%llu,%s}", (unsigned long long)(T0 + ms), rest);
	load(tl, record, record == TIMELINE_SAMPLES ? "db" : NULL, line);
}

static void sample(struct timeline *tl, uint64_t ms, const char *reader)
{
	char rest[512];

	(void)snprintf(
		rest, sizeof(rest),
		"\"reads\":5,\"writes\":3,\"reader\":{%s},"
		"\"writer\":{\"ok\":1,\"failed\":0,\"error\":\"\",\"ms\":2.5,\"waits\":false}",
		reader);
	load_at(tl, TIMELINE_SAMPLES, ms, rest);
}

#define SERVED	    "\"ok\":2,\"failed\":0,\"error\":\"\",\"ms\":1.5,\"waits\":false"
#define IDLE	    "\"ok\":0,\"failed\":0,\"error\":\"\",\"ms\":300,\"waits\":false"
#define WAITS(ms)   "\"ok\":0,\"failed\":0,\"error\":\"\",\"ms\":" #ms ",\"waits\":true"
#define FAILS(name) "\"ok\":0,\"failed\":1,\"error\":\"" name "\",\"ms\":1,\"waits\":false"

/* A key disabled at 2 s: the reader waits from 3 s to 6 s, then gets errors, then there is no file. */
static struct timeline *outage(void)
{
	struct timeline *tl = timeline_new();

	assert_non_null(tl);
	load_at(tl, TIMELINE_SCRIPT, 0,
		"\"kind\":\"run\",\"name\":\"n\",\"title\":\"A <title> & more\",\"about\":\"why\","
		"\"profile\":\"aurora\",\"time_scale\":\"100\",\"against\":\"kmsd\",\"version\":"
		"\"v\"");
	load_at(tl, TIMELINE_SCRIPT, 100, "\"kind\":\"step\",\"text\":\"Before\"");
	load_at(tl, TIMELINE_SCRIPT, 200,
		"\"kind\":\"key\",\"name\":\"a\",\"arn\":\"arn:a\",\"state\":\"Enabled\"");
	load_at(tl, TIMELINE_SCRIPT, 300, "\"kind\":\"volume\",\"name\":\"db\",\"id\":\"vol-1\"");
	load_at(tl, TIMELINE_SCRIPT, 1900, "\"kind\":\"step\",\"text\":\"The key is disabled\"");
	load_at(tl, TIMELINE_SCRIPT, 2000, "\"kind\":\"mark\",\"text\":\"key a disabled\"");
	load_at(tl, TIMELINE_SCRIPT, 2000,
		"\"kind\":\"key\",\"name\":\"a\",\"arn\":\"arn:a\",\"state\":\"Disabled\"");
	load_at(tl, TIMELINE_SCRIPT, 2100,
		"\"kind\":\"command\",\"text\":\"aws <x>\",\"output\":\"\",\"code\":\"7\"");
	load_at(tl, TIMELINE_SCRIPT, 7900,
		"\"kind\":\"check\",\"claim\":\"it waits\",\"result\":\"pass\",\"got\":\"3 s\","
		"\"wanted\":\"waits\"");
	load_at(tl, TIMELINE_SCRIPT, 8000,
		"\"kind\":\"check\",\"claim\":\"it sings\",\"result\":\"fail\",\"got\":\"\","
		"\"wanted\":\"a song\"");
	load_at(tl, TIMELINE_SCRIPT, 9000, "\"kind\":\"end\",\"verdict\":\"not-as-expected\"");
	load_at(tl, TIMELINE_SCRIPT, 9000, "\"kind\":\"of another version\"");
	sample(tl, 1000, SERVED);
	sample(tl, 2000, SERVED);
	sample(tl, 3100, IDLE);
	sample(tl, 4100, WAITS(1100));
	sample(tl, 5000, WAITS(2000));
	sample(tl, 6000, FAILS("EIO"));
	sample(tl, 7000, FAILS("ENOENT"));
	load(tl, TIMELINE_DIARY, "db",
	     "{\"time\":\"2026-01-01T00:00:00.500Z\",\"event\":\"mounted\"}");
	load(tl, TIMELINE_DIARY, "db",
	     "{\"time\":\"2026-01-01T00:00:03.000Z\",\"event\":\"state-changed\",\"to\":"
	     "\"inaccessible-encryption-credentials-recoverable\",\"rds_event\":\"RDS-EVENT-0419\","
	     "\"message\":\"unable\"}");
	load(tl, TIMELINE_DIARY, "db",
	     "{\"time\":\"2026-01-01T00:00:06.500Z\",\"event\":\"attach-failed\",\"reason\":"
	     "\"ours\","
	     "\"notification\":{\"detail\":{\"cause\":\"arn:a is disabled.\"}}}");
	load_at(tl, TIMELINE_CALLS, 2000, "\"op\":\"DisableKey\",\"error\":\"\",\"by\":\"user\"");
	load_at(tl, TIMELINE_CALLS, 2500,
		"\"op\":\"Decrypt\",\"error\":\"DisabledException\",\"by\":\"volume\"");
	return tl;
}

static void expect_span(const struct timeline_span *s, uint64_t from, uint64_t to,
			enum timeline_io io)
{
	assert_int_equal(s->from - T0, from);
	assert_int_equal(s->to - T0, to);
	assert_int_equal(s->io, io);
}

static void waiting_begins_when_what_waits_was_begun(void **state)
{
	struct timeline *tl = outage();
	struct timeline_span *spans;

	(void)state;
	assert_int_equal(timeline_spans(&tl->volumes[0], TIMELINE_READER, &spans), 4);
	expect_span(&spans[0], 1000, 3000, TIMELINE_SERVED);
	expect_span(&spans[1], 3000, 6000, TIMELINE_WAITS);
	expect_span(&spans[2], 6000, 7000, TIMELINE_FAILS);
	expect_span(&spans[3], 7000, 7000, TIMELINE_GONE);
	free(spans);
	assert_int_equal(timeline_spans(&tl->volumes[0], TIMELINE_WRITER, &spans), 1);
	expect_span(&spans[0], 1000, 7000, TIMELINE_SERVED);
	free(spans);
	assert_int_equal(timeline_spans(&tl->volumes[0], TIMELINE_CLIENT, &spans), 0);
	free(spans);
	timeline_free(tl);
}

static void an_answer_in_the_middle_of_a_wait_is_no_stretch(void **state)
{
	struct timeline *tl = timeline_new();
	struct timeline_span *spans;

	(void)state;
	load_at(tl, TIMELINE_SCRIPT, 0, "\"kind\":\"volume\",\"name\":\"db\",\"id\":\"vol-1\"");
	sample(tl, 0, IDLE); /* nobody has begun yet */
	sample(tl, 10, SERVED);
	sample(tl, 100, FAILS("EIO"));
	sample(tl, 1500, WAITS(1450)); /* begun before the failure was noted */
	assert_int_equal(timeline_spans(&tl->volumes[0], TIMELINE_READER, &spans), 2);
	expect_span(&spans[0], 10, 50, TIMELINE_SERVED);
	expect_span(&spans[1], 50, 1500, TIMELINE_WAITS);
	free(spans);
	timeline_free(tl);
}

static void the_range_is_from_the_first_sample_to_the_last_look(void **state)
{
	struct timeline *tl = outage();
	struct timeline_range r = timeline_range(tl);
	struct timeline *empty = timeline_new();

	(void)state;
	assert_in_range(r.from - T0, 800, 1000);
	assert_in_range(r.to - T0, 8000, 8200);
	r = timeline_range(empty);
	assert_true(r.to > r.from);
	timeline_free(empty);
	timeline_free(tl);
}

static void states_come_from_the_diary(void **state)
{
	struct timeline *tl = outage();
	const struct timeline_track *t = &tl->volumes[0].states;

	(void)state;
	assert_int_equal(t->count, 3);
	assert_string_equal(t->changes[0].what, "unmounted");
	assert_string_equal(t->changes[1].what, "available");
	assert_string_equal(t->changes[2].what, "inaccessible-encryption-credentials-recoverable");
	assert_int_equal(t->changes[2].t - T0, 3000);
	assert_int_equal(tl->volumes[0].event_count, 2);
	assert_string_equal(tl->volumes[0].events[0].id, "RDS-EVENT-0419");
	assert_string_equal(tl->volumes[0].events[0].text, "unable");
	assert_string_equal(tl->volumes[0].events[1].text, "arn:a is disabled.");
	timeline_free(tl);
}

static void checks_and_commands_belong_to_their_step(void **state)
{
	struct timeline *tl = outage();

	(void)state;
	assert_int_equal(tl->check_count, 2);
	assert_int_equal(tl->checks[0].step, 1);
	assert_int_equal(tl->checks[1].result, TIMELINE_FAIL);
	assert_int_equal(tl->notes[0].step, 1);
	timeline_free(tl);
}

static void bad_records_are_refused(void **state)
{
	static const struct {
		enum timeline_record record;
		const char *line, *words;
	} bad[] = {
		{TIMELINE_SCRIPT, "{", "JSON"},
		{TIMELINE_SCRIPT, "{\"kind\":\"step\"}", "'t'"},
		{TIMELINE_SCRIPT, "{\"t\":1,\"kind\":\"run\",\"time_scale\":\"x\"}",
		 "'time_scale' is 'x'"},
		{TIMELINE_SCRIPT, "{\"t\":1,\"kind\":\"check\",\"result\":\"maybe\"}",
		 "'result' is 'maybe'"},
		{TIMELINE_SAMPLES, "{\"t\":1,\"reads\":1,\"writes\":1}", "'reader'"},
		{TIMELINE_SAMPLES, "{\"t\":1,\"reads\":1,\"writes\":1,\"reader\":{\"ok\":-1}}",
		 "'ok'"},
		{TIMELINE_DIARY, "{\"time\":\"yesterday\"}", "'time'"},
		{TIMELINE_CALLS, "{\"op\":\"Decrypt\"}", "'t'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct timeline *tl = timeline_new();
		struct err err;

		assert_int_equal(timeline_load(tl, bad[i].record, "db", bad[i].line,
					       strlen(bad[i].line), &err),
				 -EUCLEAN);
		if (!strstr(err.msg, bad[i].words))
			fail_msg("'%s' does not say %s", err.msg, bad[i].words);
		timeline_free(tl);
	}
}

static size_t count(const char *text, const char *words)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, words)); p++)
		n++;
	return n;
}

static void the_picture_has_its_parts(void **state)
{
	struct timeline *tl = outage();
	struct buf out = {.max = ROOM};
	const char *svg;

	(void)state;
	assert_int_equal(timeline_svg(tl, true, &out), 0);
	svg = (const char *)out.bytes;
	assert_int_equal(strncmp(svg, "<svg xmlns=", 11), 0);
	assert_string_equal(svg + out.len - 7, "</svg>\n");
	assert_non_null(strstr(svg, "A &lt;title&gt; &amp; more"));
	assert_null(strstr(svg, "<title> &"));
	assert_int_equal(count(svg, ">key a disabled<"), 1);
	assert_int_equal(count(svg, "class=\"stretch wait\""), 3); /* key, volume, reader */
	assert_int_equal(count(svg, "class=\"stretch bad\""), 1);
	assert_int_equal(count(svg, ">RDS-EVENT-0419<"), 1);
	assert_int_equal(count(svg, "class=\"call failed\""), 1);
	assert_int_equal(count(svg, "class=\"call\""), 1);
	assert_int_equal(count(svg, "class=\"line reads\""), 2);
	assert_int_equal(count(svg, ">+4 min<"), 1); /* 2.4 s at 100 */
	assert_int_equal(count(svg, "class=\"badge\""),
			 3); /* one in the picture, two in the list */
	buf_free(&out);
	timeline_free(tl);
}

static void the_page_needs_nothing_from_elsewhere(void **state)
{
	struct timeline *tl = outage();
	struct buf out = {.max = ROOM};
	const char *html;

	(void)state;
	assert_int_equal(timeline_html(tl, &out), 0);
	html = (const char *)out.bytes;
	assert_null(strstr(html, "src="));
	assert_null(strstr(html, "href="));
	assert_null(strstr(html, "url("));
	assert_null(strstr(html, "@import"));
	assert_int_equal(count(html, "http"), 1); /* the name of SVG's namespace */
	assert_non_null(strstr(html, "Not as expected: 1 of 2 checks failed"));
	assert_non_null(strstr(html, "aws &lt;x&gt;"));
	assert_non_null(strstr(html, "(exit code 7)"));
	assert_non_null(strstr(html, "<td class=\"fail\">not as expected</td><td>it sings</td>"));
	assert_non_null(strstr(html, "prefers-color-scheme:dark"));
	buf_free(&out);
	timeline_free(tl);
}

static void the_json_has_it_in_milliseconds_of_the_run(void **state)
{
	struct timeline *tl = outage();
	struct kms_json *obj = timeline_json(tl), *v, *reader;
	char *text;

	(void)state;
	assert_non_null(obj);
	v = kms_json_at(kms_json_get(obj, "volumes"), 0);
	reader = kms_json_get(v, "reader");
	text = kms_json_text(kms_json_at(reader, 1));
	assert_string_equal(text, "{\"from_ms\":3000,\"to_ms\":6000,\"io\":\"waits\"}");
	free(text);
	text = kms_json_text(kms_json_get(kms_json_at(kms_json_get(obj, "keys"), 0), "states"));
	assert_string_equal(text, "[{\"from_ms\":200,\"to_ms\":2000,\"state\":\"Enabled\"},"
				  "{\"from_ms\":2000,\"to_ms\":9000,\"state\":\"Disabled\"}]");
	free(text);
	assert_string_equal(kms_json_string_value(kms_json_get(obj, "verdict")), "not-as-expected");
	kms_json_free(obj);
	timeline_free(tl);
}

static void what_is_too_large_is_an_error(void **state)
{
	struct timeline *tl = outage();
	struct buf out = {.max = 4096};

	(void)state;
	assert_int_equal(timeline_html(tl, &out), -EMSGSIZE);
	buf_free(&out);
	timeline_free(tl);
}

static void words_are_escaped(void **state)
{
	struct buf out = {.max = 256};

	(void)state;
	assert_int_equal(markup_text(&out, "a<b> \"c\" & 'd'\x01\n\xc3\xa4"), 0);
	assert_string_equal((char *)out.bytes,
			    "a&lt;b&gt; &quot;c&quot; &amp; &#39;d&#39;?\n\xc3\xa4");
	buf_free(&out);
	assert_int_equal(markup_text(&out, "\xff!"), 0);
	assert_string_equal((char *)out.bytes, "?!");
	buf_free(&out);
	assert_true(markup_width("WWWW", 10) > markup_width("iiii", 10));
	assert_true(markup_width("\xc3\xa4", 10) <= markup_width("W", 10));
}

static void words_find_a_row(void **state)
{
	double ends[PICTURE_ROWS] = {0};

	(void)state;
	assert_int_equal(picture_row(ends, 10, 50), 0);
	assert_int_equal(picture_row(ends, 40, 90), 1);
	assert_int_equal(picture_row(ends, 50, 60), 0);
	for (int i = 0; i < 10; i++)
		assert_in_range(picture_row(ends, 0, 1000), 0, PICTURE_ROWS - 1);
}

static void states_have_looks(void **state)
{
	(void)state;
	assert_string_equal(timeline_style_state("available"), "good");
	assert_string_equal(timeline_style_state("inaccessible-encryption-credentials"), "bad");
	assert_string_equal(timeline_style_state("throttled"), "warn");
	assert_string_equal(timeline_style_io(TIMELINE_WAITS), "wait");
	assert_string_equal(timeline_style_io(TIMELINE_FAILS), "bad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiting_begins_when_what_waits_was_begun),
		cmocka_unit_test(an_answer_in_the_middle_of_a_wait_is_no_stretch),
		cmocka_unit_test(the_range_is_from_the_first_sample_to_the_last_look),
		cmocka_unit_test(states_come_from_the_diary),
		cmocka_unit_test(checks_and_commands_belong_to_their_step),
		cmocka_unit_test(bad_records_are_refused),
		cmocka_unit_test(the_picture_has_its_parts),
		cmocka_unit_test(the_page_needs_nothing_from_elsewhere),
		cmocka_unit_test(the_json_has_it_in_milliseconds_of_the_run),
		cmocka_unit_test(what_is_too_large_is_an_error),
		cmocka_unit_test(words_are_escaped),
		cmocka_unit_test(words_find_a_row),
		cmocka_unit_test(states_have_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
