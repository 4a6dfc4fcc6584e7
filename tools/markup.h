/*
 * Text of XML and HTML into a buffer: escaped words, and the few shapes of SVG that pictures here are made of. Pure. All
 * return 0, -EMSGSIZE or -ENOMEM, so calls can be or-ed; coordinates are in the picture's own units.
 */
#ifndef TOOLS_MARKUP_H
#define TOOLS_MARKUP_H

struct buf;

/*
 * @text with what means something in XML escaped, fit for attributes too. Control characters, which XML forbids, and what is
 * no UTF-8 become '?'; a newline stays.
 */
int markup_text(struct buf *out, const char *text);

/* How wide @text is at most in a sans-serif font of @size; a guess on the wide side. */
double markup_width(const char *text, double size);

/* A rectangle of the CSS class @css; @title (NULL: none) is what a pointer on it shows. */
struct markup_box {
	double x, y, w, h;
};
int markup_rect(struct buf *out, const char *css, struct markup_box box, const char *title);

/* Words that begin, are centred, or end at @x ("start", "middle", "end"), on the line @y. */
int markup_words(struct buf *out, const char *css, const char *anchor, double x, double y,
		 const char *text);

int markup_line(struct buf *out, const char *css, struct markup_box from_to); /* w, h: to where */

#endif
