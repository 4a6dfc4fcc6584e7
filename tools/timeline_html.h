/* The page of a run: verdict, picture, steps with what was expected and what was seen, events, KMS calls. Pure. */
#ifndef TOOLS_TIMELINE_HTML_H
#define TOOLS_TIMELINE_HTML_H

struct buf;
struct timeline;

/* Append a whole HTML document that needs nothing from elsewhere. -EMSGSIZE: too large, or no memory. */
int timeline_html(const struct timeline *tl, struct buf *out);

#endif
