/* XML, HTML and SVG as text. See markup.h. */
#include "markup.h"

#include <string.h>

#include "bytes.h"

/* In parts of the font's size: wide for most letters of DejaVu Sans and Verdana, the widest in use. */
#define WIDTH_WIDE   0.86
#define WIDTH_OTHERS 0.64
#define WIDTH_NARROW 0.42

int markup_text(struct buf *out, const char *text)
{
	static const struct {
		char c;
		const char *as;
	} escapes[] = {
		{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	bool utf8 = bytes_utf8(text, strlen(text));
	int r = 0;

	for (const char *p = text; *p && r == 0; p++) {
		unsigned char c = (unsigned char)*p;
		const char *as = NULL;

		for (size_t i = 0; i < sizeof(escapes) / sizeof(*escapes); i++)
			if (*p == escapes[i].c)
				as = escapes[i].as;
		if ((c < ' ' && c != '\n') || c == 0x7f || (c > 0x7f && !utf8))
			as = "?";
		r = as ? buf_append(out, as, strlen(as)) : buf_append(out, p, 1);
	}
	return r;
}

double markup_width(const char *text, double size)
{
	double w = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if ((*p & 0xc0) == 0x80)
			continue; /* of the character before */
		w += strchr("MW@%mw", *p)	      ? WIDTH_WIDE
		     : strchr("iIjl.,:;'|!()[] ", *p) ? WIDTH_NARROW
						      : WIDTH_OTHERS;
	}
	return w * size;
}

int markup_rect(struct buf *out, const char *css, struct markup_box box, const char *title)
{
	int r = buf_printf(
		out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", css,
		box.x, box.y, box.w, box.h);

	if (!title)
		return r | buf_append(out, "/>\n", 3);
	return r | buf_append(out, "><title>", 8) | markup_text(out, title) |
	       buf_printf(out, "</title></rect>\n");
}

int markup_words(struct buf *out, const char *css, const char *anchor, double x, double y,
		 const char *text)
{
	return buf_printf(out, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", css,
			  anchor, x, y) |
	       markup_text(out, text) | buf_printf(out, "</text>\n");
}

int markup_line(struct buf *out, const char *css, struct markup_box from_to)
{
	return buf_printf(out,
			  "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
			  css, from_to.x, from_to.y, from_to.w, from_to.h);
}
